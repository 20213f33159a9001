"""The API of MemOS's managed cloud (memos-docs.openmem.net, "API reference"): paths, bodies, replies."""

from typing import Any

from memos_client.credentials import Credentials
from memos_client.errors import bad_reply
from memos_client.fields import present
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.kinds import KINDS
from memos_client.labels import Conditions
from memos_client.memories import Added, Lists

# Told to MemOS with every call, as the plugin's versions before 1.0.0 did.
_SOURCE = "Dify"


class CloudDialect:
    """How MemOS's cloud is spoken to. Nothing here does I/O."""

    add_path = "/add/message"
    search_path = "/search/memory"

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
        if not isinstance(data, dict):
            raise bad_reply(self._host, "no lists of memories")
        lists = {kind: data.get(kind.items) or [] for kind in request.wanted}
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
        if not isinstance(data, dict) or not (data.get("success") is True or data.get("status")):
            raise bad_reply(self._host, "no word of success")
        # Any other word than completed is one on the way there; failed never comes this far.
        done = data.get("status", "running" if request.async_mode else "completed") == "completed"
        task_id = data.get("task_id")
        name = str(task_id)[:100] if isinstance(task_id, str | int) else ""
        return Added("completed" if done else "running", name)


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
