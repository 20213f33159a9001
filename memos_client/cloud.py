"""The API of MemOS's managed cloud (memos-docs.openmem.net, "API reference"): paths, bodies, replies."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from memos_client.credentials import Credentials
from memos_client.errors import bad_reply
from memos_client.fields import present
from memos_client.inputs import AddRequest, FeedbackRequest, ListRequest, SearchRequest
from memos_client.kinds import KINDS, Kind
from memos_client.labels import Conditions
from memos_client.memories import Added, Lists, Lookup
from memos_client.transport import LARGEST_REPLY

# Told to MemOS with every call, as the plugin's versions before 1.0.0 did.
_SOURCE = "Dify"
# The most that a page may have of each kind.
_LARGEST_PAGE = 50


class CloudDialect:
    """How MemOS's cloud is spoken to. Nothing here does I/O."""

    add_path = "/add/message"
    search_path = "/search/memory"
    list_path = "/get/memory"
    delete_path = "/delete/memory"
    feedback_path = "/add/feedback"
    largest_list = LARGEST_REPLY
    not_found_advice = ""

    def __init__(self, credentials: Credentials) -> None:
        self.url = credentials.url
        self._host = credentials.host

    def search_body(self, request: SearchRequest) -> dict[str, Any]:
        """The body of a search."""
        switches: dict[str, Any] = {}
        for kind in KINDS:
            if kind.switch:
                switches[kind.switch] = kind in request.wanted
            if kind.limit and kind in request.wanted:
                switches[kind.limit] = request.memory_limit_number
        return switches | present(
            query=request.query,
            user_id=request.user_id,
            # The newest of MemOS's specifications knows only this, the clients that MemOS ships the switches.
            include_memory_view=[kind.view for kind in request.wanted],
            relativity=request.relativity,
            knowledgebase_ids=list(request.knowledgebase_ids),
            filter=_filter(request.filter),
            source=_SOURCE,
        )

    def read_search(self, data: Any, request: SearchRequest) -> Lists:
        """Read the `data` of the reply to a search.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        return self._lists(data, request.wanted)

    def _lists(self, data: Any, wanted: Sequence[Kind]) -> Lists:
        if not isinstance(data, dict):
            raise bad_reply(self._host, "no lists of memories")
        lists = {kind: data.get(kind.items) or [] for kind in wanted}
        for kind, items in lists.items():
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise bad_reply(self._host, f"{kind.items} is no list of memories")
        return lists

    def add_body(self, request: AddRequest) -> dict[str, Any]:
        """The body of an add."""
        labels = dict(request.labels.values)
        views = [kind.view for kind in request.wanted]
        return present(
            user_id=request.user_id,
            conversation_id=request.conversation_id,
            messages=[turn.body for turn in request.turns],
            agent_id=labels.pop("agent_id", None),
            app_id=labels.pop("app_id", None),
            tags=list(request.labels.tags),
            info=labels,
            async_mode=request.async_mode,
            # Facts and preferences are what MemOS extracts by itself.
            allow_memory_view=None if request.kinds == "facts_and_preferences" else views,
            custom_extract_prompt=request.extract_prompt and dict.fromkeys(views, request.extract_prompt),
            source=_SOURCE,
        )

    def read_add(self, data: Any, request: AddRequest) -> Added:
        """Read the `data` of the reply to an add; None is that of an asynchronous one without a body.

        Raises:
            MemosReplyError: It does not say that the messages were accepted.
        """
        if data is None and request.async_mode:
            return Added("running")
        return self._accepted(data, "running" if request.async_mode else "completed")

    def _accepted(self, data: Any, usual_status: str) -> Added:
        if not isinstance(data, dict) or not (data.get("success") is True or data.get("status")):
            raise bad_reply(self._host, "no word of success")
        # Any other word than completed is one on the way there; failed never comes this far.
        done = data.get("status", usual_status) == "completed"
        task_id = data.get("task_id")
        name = str(task_id)[:100] if isinstance(task_id, str | int) else ""
        return Added("completed" if done else "running", name)

    def list_body(self, request: ListRequest, page: int) -> dict[str, Any]:
        """The body of a listing: a page of the server's, which holds so many memories of each kind."""
        return present(
            user_id=request.user_id,
            page=page,
            size=_LARGEST_PAGE,
            include_memory_view=[kind.view for kind in request.wanted],
            filter=_filter(request.filter),
        )

    def read_list(self, data: Any, request: ListRequest) -> Lists:
        """Read the `data` of the reply to a listing.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        return self._lists(data, request.wanted)

    def is_last_page(self, data: Any, page: int) -> bool:
        """Whether no page follows: of its totals, only that of pages counts over all kinds."""
        pages = data.get("pages")
        if isinstance(pages, int):
            return page >= pages
        return not any(data.get(kind.items) for kind in KINDS)

    def candidates(self, request: SearchRequest) -> Lookup:
        """The request by which to find what reads as `request.query` does: a search with nothing left out."""
        return Lookup(self.search_path, self.search_body(_widest(request)))

    def read_candidates(self, data: Any, request: SearchRequest) -> Lists:
        """Read the `data` of its reply.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        return self.read_search(data, request)

    def lookups(self, _: str, memory_ids: Sequence[str]) -> list[Lookup]:
        """The requests by which to see which of these memories there are: one for each."""
        return [Lookup(f"/get/memory/{quote(memory_id, safe='')}") for memory_id in memory_ids]

    def read_lookup(self, data: Any, user_id: str) -> set[str]:
        """Read the `data` of the reply to a lookup: the ids of memories that are this user's.

        Raises:
            MemosReplyError: It is neither a memory nor None, which proves nothing.
        """
        if not isinstance(data, dict | None):
            raise bad_reply(self._host, "no memory")
        if not data or data.get("user_id") != user_id or data.get("status") == "deleted":
            return set()
        return {str(data.get("id"))}

    def delete_body(self, user_id: str, memory_ids: Sequence[str]) -> dict[str, Any]:
        """The body of a deletion: of these memories, whosever they are, or of all that are the user's."""
        return {"memory_ids": list(memory_ids)} if memory_ids else {"user_id": user_id}

    def feedback_body(self, request: FeedbackRequest) -> dict[str, Any]:
        """The body of a feedback."""
        return {
            "user_id": request.user_id,
            "conversation_id": request.conversation_id,
            "feedback_content": request.feedback,
        }

    def read_feedback(self, data: Any) -> Added:
        """Read the `data` of the reply to a feedback.

        Raises:
            MemosReplyError: It does not say that the feedback was accepted.
        """
        return self._accepted(data, "running")


def _widest(request: SearchRequest) -> SearchRequest:
    return request.model_copy(update={"memory_limit_number": 25, "relativity": 0.0})


def _filter(conditions: Conditions) -> dict[str, Any] | None:
    """Compile plain conditions, or pass on a raw filter."""
    if conditions.raw:
        return conditions.raw
    rules: list[dict[str, Any]] = [{"tags": {"contains": tag}} for tag in conditions.tags]
    rules += [{name: value} for name, value in conditions.values.items()]
    if conditions.created_after:
        rules.append({"create_time": {"gte": str(conditions.created_after)}})
    if conditions.created_before:
        rules.append({"create_time": {"lt": str(conditions.created_before)}})
    return {"and": rules} if rules else None
