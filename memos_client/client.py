"""One method for each thing that MemOS does: a request, sent, and its reply read."""

import json
from collections.abc import Mapping
from typing import Any

from memos_client.cloud import CloudDialect
from memos_client.credentials import Credentials, read_credentials
from memos_client.envelope import unwrap
from memos_client.errors import MemosError
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.memories import Added, Found, found
from memos_client.self_hosted import SelfHostedDialect
from memos_client.transport import Limits, post

SEARCH = Limits(total=30)
ADD = Limits(total=30)
# MemOS's own server waits for two waves of model calls before it answers (seen on MemoryOS 2.0.33).
SYNCHRONOUS_ADD = Limits(total=150)
# For a chat that goes on without its memory.
CONTINUE = Limits(total=10)
PROBE = Limits(total=15, tries=1)

_PROBE_USER = "dify-credentials-check"
_MAY_BE_STORED = "The messages may have been stored all the same."
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
        try:
            data = self._call(
                self._dialect.add_path, body, limits, repeatable=False, accepts_nothing=request.async_mode
            )
            return self._dialect.read_add(data, request)
        except MemosError as error:
            if error.refused:
                raise
            doubtful = error.adding(_MAY_BE_STORED)
        raise doubtful

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
        body: Mapping[str, Any],
        limits: Limits,
        *,
        repeatable: bool = True,
        accepts_nothing: bool = False,
    ) -> Any:
        """Send a request, and return the `data` of its reply."""
        headers = _HEADERS
        if authorization := self._access.authorization:
            headers = _HEADERS | {"Authorization": authorization}
        reply = post(
            self._dialect.url + path, headers, json.dumps(body).encode(), limits, repeatable=repeatable
        )
        return unwrap(self._access.host, reply, self._access.key, accepts_nothing=accepts_nothing)


def _dialect_of(credentials: Credentials) -> CloudDialect | SelfHostedDialect:
    """Pick the API that these credentials speak: the one place that does."""
    return CloudDialect(credentials) if credentials.deployment == "cloud" else SelfHostedDialect(credentials)
