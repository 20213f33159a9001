"""One method for each thing that MemOS does: a request, sent, and its reply read."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from memos_client.cloud import CloudDialect
from memos_client.credentials import Credentials, read_credentials
from memos_client.envelope import unwrap
from memos_client.errors import MemosError, MemosInputError, MemosServerError
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, FeedbackRequest, ListRequest, SearchRequest
from memos_client.memories import Added, Found, Lists, Page, current, found
from memos_client.self_hosted import SelfHostedDialect
from memos_client.transport import Limits, send

SEARCH = Limits(total=30)
ADD = Limits(total=30)
# MemOS's own server waits for two waves of model calls before it answers (seen on MemoryOS 2.0.33).
SYNCHRONOUS_ADD = Limits(total=150)
# For a chat that goes on without its memory.
CONTINUE = Limits(total=10)
PROBE = Limits(total=15, tries=1)
FEEDBACK = Limits(total=30)
LIST_SECONDS = 60
DELETE_SECONDS = 60

_PROBE_USER = "dify-credentials-check"
_MAY_BE_STORED = "The messages may have been stored all the same."
_MAY_BE_TAKEN = "The feedback may have been taken all the same."
_ACCEPTED = "MemOS at {} accepted the deletion, but it is not proven."
_NOTHING_DELETED = "Nothing was deleted."
_MAY_BE_DELETED = "The memories may have been deleted all the same."
# MemOS needs a moment: seconds before each look whether what was deleted is gone.
_PAUSES = (0, 0.5, 1, 2)
# What the cloud answers about a memory, or a user, that is not there.
_GONE_CODES = {40001, 40307, 40308}
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Content-Type": "application/json",
    "User-Agent": "dify-plugin-memos",
}


class MemosClient:
    """Talks to the MemOS that the credentials name.

    Args:
        credentials: `memos_url`, `memos_api_key` and `deployment`, as Dify keeps them.

    Raises:
        MemosInputError: The credentials can't be right; nothing was sent.
    """

    def __init__(self, credentials: Mapping[str, Any]) -> None:
        self._access = read_credentials(credentials)
        self._dialect = _dialect_of(self._access)

    @property
    def api_key(self) -> str:
        """The API key without its scheme; "" where there is none."""
        return self._access.key

    def search(self, request: SearchRequest) -> list[Found]:
        """Find what MemOS remembers, most relevant first.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        request.check()
        body = self._dialect.search_body(request)
        limits = CONTINUE if request.continues else SEARCH
        data = self._call(self._dialect.search_path, body, limits)
        return found(self._dialect.read_search(data, request), request.memory_limit_number)

    def add(self, request: AddRequest) -> Added:
        """Have MemOS remember messages; they are sent once, unless they certainly did not arrive.

        Raises:
            MemosError: One of its six kinds, see `memos_client.errors`; `refused` if nothing was stored.
        """
        request.check()
        body = self._dialect.add_body(request)
        limits = SYNCHRONOUS_ADD if not request.async_mode else CONTINUE if request.continues else ADD
        with _in_doubt(_MAY_BE_STORED):
            data = self._call(
                self._dialect.add_path, body, limits, repeatable=False, accepts_nothing=request.async_mode
            )
            return self._dialect.read_add(data, request)

    def list_memories(self, request: ListRequest) -> Page:
        """List what MemOS keeps, in an order that pages neither repeat nor skip.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        seconds = CONTINUE.total if request.continues else LIST_SECONDS
        return self._list(request, time.monotonic() + seconds)

    def _list(self, request: ListRequest, deadline: float) -> Page:
        first = (request.page - 1) * request.limit
        listed: dict[tuple[str, Any], Found] = {}
        before: Lists = {}
        for page in itertools.count(1):
            limits = self._limits(deadline)
            data = self._call(self._dialect.list_path, self._dialect.list_body(request, page), limits)
            lists = self._dialect.read_list(data, request)
            # A server that knows no pages repeats its only one.
            if lists == before:
                break
            for number, one in enumerate(current(lists)):
                listed.setdefault((one.kind.name, one.memory.get("id") or (page, number)), one)
            if len(listed) > first + request.limit or self._dialect.is_last_page(data, page):
                break
            before = lists
        found = list(listed.values())[first:]
        return Page(found[: request.limit], has_more=len(found) > request.limit)

    def candidates(self, request: SearchRequest) -> list[Found]:
        """Find the facts and preferences among which one is that reads as `request.query` does.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        path, body = self._dialect.candidates(request)
        limits = Limits(CONTINUE.total, largest=self._dialect.largest_list)
        return current(self._dialect.read_candidates(self._call(path, body, limits), request))

    def delete(self, user_id: str, memory_ids: Sequence[str]) -> None:
        """Delete memories, but only if all of them are this user's, and prove that they are gone.

        Raises:
            MemosInputError: Some are not there, or another user's; nothing was deleted.
            MemosError: Not deleted, or not proven; the fact says what is known.
        """
        start = time.monotonic()
        try:
            theirs = self._look_up(user_id, memory_ids, start + DELETE_SECONDS / 3)
        except MemosError as error:
            raise error.adding(_NOTHING_DELETED, refused=True) from None
        if strange := [memory_id for memory_id in memory_ids if memory_id not in theirs]:
            words = f"memory_ids: no memory of this user: {', '.join(strange)}. {_NOTHING_DELETED}"
            raise MemosInputError(words, self._dialect.not_found_advice)
        end = start + DELETE_SECONDS
        self._delete(user_id, memory_ids, lambda left: self._look_up(user_id, left, end), end)

    def delete_all(self, user_id: str) -> None:
        """Delete everything of a user, and prove that nothing is listed any more.

        Raises:
            MemosError: Not deleted, or not proven; the fact says what is known.
        """
        one_of_all = ListRequest.model_construct(user_id=user_id, limit=1)
        end = time.monotonic() + DELETE_SECONDS
        self._delete(user_id, (), lambda _: _names(self._list(one_of_all, end)), end)

    def _delete(
        self,
        user_id: str,
        memory_ids: Sequence[str],
        look: Callable[[Sequence[str]], Sequence[str]],
        end: float,
    ) -> None:
        """Delete, and look until nothing is left: MemOS says success and failure, whatever it did."""
        answer: MemosError | None = None
        try:
            body = self._dialect.delete_body(user_id, memory_ids)
            # However long MemOS is silent, a third of the time is left to see what it did.
            limits = self._limits(end - DELETE_SECONDS / 3)
            self._call(self._dialect.delete_path, body, limits, repeatable=False)
        except MemosError as error:
            # What MemOS says is gone may have gone just now, and others with it.
            if error.refused and error.code not in _GONE_CODES:
                raise
            answer = error
        left = memory_ids
        for pause in _PAUSES:
            time.sleep(pause)
            try:
                left = look(left)
            except MemosError as error:
                raise error.adding(_MAY_BE_DELETED) from None
            if not left:
                return
        known = f"Still there: {', '.join(left)}."
        if memory_ids:
            gone = [memory_id for memory_id in memory_ids if memory_id not in left]
            known += f" Gone: {', '.join(gone) or 'none'}."
        fact = f"{answer.fact if answer else _ACCEPTED.format(self._access.host)} {known}"
        raise MemosServerError(fact, "List the memories again in a moment.")

    def _look_up(self, user_id: str, memory_ids: Sequence[str], deadline: float) -> list[str]:
        """Those of the memories that are there, and this user's."""
        theirs = set[str]()
        for path, body in self._dialect.lookups(user_id, memory_ids):
            limits = self._limits(deadline)
            try:
                data = self._call(path, body, limits)
            except MemosError as error:
                if error.code not in _GONE_CODES:
                    raise
            else:
                theirs |= self._dialect.read_lookup(data, user_id)
        return [memory_id for memory_id in memory_ids if memory_id in theirs]

    def _limits(self, deadline: float) -> Limits:
        # Rounded, since an error may tell it.
        seconds = round(max(0.1, deadline - time.monotonic()), 1)
        return Limits(seconds, largest=self._dialect.largest_list)

    def feedback(self, request: FeedbackRequest) -> Added:
        """Have MemOS correct what it remembers; sent once, unless it certainly did not arrive.

        Raises:
            MemosError: One of its six kinds, see `memos_client.errors`; `refused` if nothing was taken.
        """
        with _in_doubt(_MAY_BE_TAKEN):
            body = self._dialect.feedback_body(request)
            data = self._call(self._dialect.feedback_path, body, FEEDBACK, repeatable=False)
            return self._dialect.read_feedback(data)

    def probe(self) -> None:
        """Prove URL and key with a search that finds nothing and changes nothing.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        caller = Caller(_PROBE_USER, app_id=None, conversation_id=None, api_key=self.api_key)
        given = {"query": "hello", "memory_limit_number": 1, "kinds": "facts"}
        request = SearchRequest.parse(given, caller)
        data = self._call(self._dialect.search_path, self._dialect.search_body(request), PROBE)
        self._dialect.read_search(data, request)

    def _call(
        self,
        path: str,
        body: Mapping[str, Any] | None,
        limits: Limits,
        *,
        repeatable: bool = True,
        accepts_nothing: bool = False,
    ) -> Any:
        """Send a request, a GET where it has no body, and return the `data` of its reply."""
        headers = _HEADERS
        if authorization := self._access.authorization:
            headers = _HEADERS | {"Authorization": authorization}
        data = None if body is None else json.dumps(body).encode()
        reply = send(self._dialect.url + path, headers, data, limits, repeatable=repeatable)
        return unwrap(self._access.host, reply, self._access.key, accepts_nothing=accepts_nothing)


@contextmanager
def _in_doubt(words: str) -> Iterator[None]:
    """Add to an error that it may have been done all the same, unless it certainly was not."""
    try:
        yield
    except MemosError as error:
        if error.refused:
            raise
        raise error.adding(words) from None


def _names(page: Page) -> list[str]:
    return [one.memory.get("id", "a memory without an id") for one in page.found]


def _dialect_of(credentials: Credentials) -> CloudDialect | SelfHostedDialect:
    """Pick the API that these credentials speak: the one place that does."""
    return CloudDialect(credentials) if credentials.deployment == "cloud" else SelfHostedDialect(credentials)
