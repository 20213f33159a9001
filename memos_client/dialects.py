"""The two APIs of MemOS: their addresses, keys, request bodies and replies. Nothing here does I/O."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import to_json

from memos_client.errors import MemosInputError, MemosServerError, not_understood
from memos_client.models import AddRequest, Credentials, Message, SearchRequest
from memos_client.results import LISTS, AddResult, SearchResult, epoch_milliseconds

Body = dict[str, Any]

# Told to MemOS with every call, as the plugin's versions before 1.0.0 did.
_SOURCE = "Dify"
_CLOUD_KEY = re.compile(r"(Token\s+)?(?P<key>mpg-\S+)", re.IGNORECASE)
# A line of 5 MiB makes Dify kill the plugin process; what surrounds a message in its line fits into the rest.
_LARGEST_MESSAGE = 4_500_000
_FIELD = re.compile(r"[A-Za-z_][\w.]*")
_SCHEME = re.compile(r"[A-Za-z][\w-]*\s+\S")


class CloudDialect:
    """MemOS's managed cloud (memos-docs.openmem.net, "API reference")."""

    add_path = "/add/message"
    search_path = "/search/memory"

    def __init__(self, credentials: Credentials) -> None:
        self.url = credentials.url
        self.host = credentials.host
        key = _CLOUD_KEY.fullmatch(credentials.key)
        if not key:
            problem = "not a key of the MemOS cloud" if credentials.key else "the MemOS cloud needs a key"
            raise MemosInputError(
                f"memos_api_key: {problem}; copy the one of the form Token mpg-… from its console."
            )
        self.authorization = f"Token {key['key']}"

    def add_body(self, request: AddRequest) -> Body:
        """The body of an add."""
        return _without_absent(
            user_id=request.user_id,
            conversation_id=request.conversation_id,
            messages=_messages(request.turns),
            agent_id=request.agent_id,
            app_id=request.app_id,
            tags=list(request.tags),
            info=request.info,
            async_mode=request.async_mode,
            allow_public=request.allow_public or None,
            allow_knowledgebase_ids=list(request.allow_knowledgebase_ids),
            source=_SOURCE,
        )

    def search_body(self, request: SearchRequest) -> Body:
        """The body of a search."""
        return _without_absent(
            query=request.query,
            user_id=request.user_id,
            conversation_id=request.conversation_id,
            memory_limit_number=request.memory_limit_number,
            include_preference=request.include_preference,
            preference_limit_number=request.preference_limit_number,
            include_tool_memory=request.include_tool_memory,
            tool_memory_limit_number=request.tool_memory_limit_number,
            include_skill=request.include_skill,
            skill_limit_number=request.skill_limit_number,
            relativity=request.relativity,
            knowledgebase_ids=list(request.knowledgebase_ids),
            filter=_filter(request, created="create_time", midnight=""),
            source=_SOURCE,
        )

    def read_add(self, data: Any, request: AddRequest) -> AddResult:
        """Read the `data` of the reply to an add.

        Raises:
            MemosReplyError: It does not say that the messages were accepted.
        """
        if not isinstance(data, dict) or not (data.get("success") is True or data.get("status")):
            raise not_understood(self.host, "no word of success")
        # Any other word than completed is one on the way there; failed never comes this far.
        done = data.get("status", "running" if request.async_mode else "completed") == "completed"
        task_id = data.get("task_id")
        name = str(task_id)[:100] if isinstance(task_id, str | int) else ""
        return _add_result(request, done=done, task_id=name)

    def read_search(self, data: Any, request: SearchRequest) -> SearchResult:
        """Read the `data` of the reply to a search.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        if not isinstance(data, dict):
            raise not_understood(self.host, "no lists of memories")
        return _search_result(self.host, data, request)


class SelfHostedDialect:
    """MemOS's own, open-source server (seen on MemoryOS 2.0.33)."""

    add_path = "/product/add"
    search_path = "/product/search"

    def __init__(self, credentials: Credentials) -> None:
        self.url = credentials.url.removesuffix("/product")
        self.host = credentials.host
        key = credentials.key
        self.authorization = key if not key or _SCHEME.match(key) else f"Token {key}"

    def add_body(self, request: AddRequest) -> Body:
        """The body of an add.

        Raises:
            MemosInputError: A parameter that this server does not have.
        """
        _refuse(
            allow_public=request.allow_public,
            allow_knowledgebase_ids=request.allow_knowledgebase_ids,
        )
        if taken := sorted(_RESERVED_INFO & request.info.keys()):
            names = ", ".join(taken)
            raise MemosInputError(f"info: a self-hosted MemOS keeps these names for itself: {names}.")
        labels = _without_absent(
            agent_id=request.agent_id,
            app_id=request.app_id,
            # An asynchronous add loses the tags on their way to its second half, which looks for them here.
            custom_tags=list(request.tags),
        )
        return _without_absent(
            user_id=request.user_id,
            writable_cube_ids=[request.user_id],
            session_id=request.conversation_id,
            messages=_messages(request.turns),
            custom_tags=list(request.tags),
            info=request.info | labels,
            async_mode="async" if request.async_mode else "sync",
            # It does not come back in the reply.
            task_id=request.task_id,
        )

    def search_body(self, request: SearchRequest) -> Body:
        """The body of a search.

        Raises:
            MemosInputError: A parameter that this server does not have.
        """
        _refuse(knowledgebase_ids=request.knowledgebase_ids)
        if request.filter and not request.filter.keys() <= {"and", "or"}:
            raise MemosInputError("filter: a self-hosted MemOS has no filters for each source.")
        rules = [rule for group in (request.filter or {}).values() for rule in group]
        # One of its databases, Neo4j, takes these names into the text of its queries.
        if not all(_FIELD.fullmatch(name) for rule in rules for name in rule):
            raise MemosInputError(
                "filter: a name holds only letters, digits, _ and . on a self-hosted MemOS."
            )
        return _without_absent(
            query=request.query,
            user_id=request.user_id,
            readable_cube_ids=[request.user_id],
            session_id=request.conversation_id,
            top_k=request.memory_limit_number,
            include_preference=request.include_preference,
            pref_top_k=request.preference_limit_number,
            # Always said, since both are on by default here and off in the cloud.
            search_tool_memory=request.include_tool_memory,
            tool_mem_top_k=request.tool_memory_limit_number,
            include_skill_memory=request.include_skill,
            skill_mem_top_k=request.skill_limit_number,
            relativity=request.relativity,
            filter=_filter(request, created="created_at", midnight="T00:00:00+00:00"),
        )

    def read_add(self, data: Any, request: AddRequest) -> AddResult:
        """Read the `data` of the reply to an add.

        Raises:
            MemosServerError: MemOS stored nothing.
            MemosReplyError: It is no list of memories.
        """
        if not isinstance(data, list) or not all(isinstance(memory, dict) for memory in data):
            raise not_understood(self.host, "no list of memories")
        if not data:
            raise MemosServerError(
                f"MemOS at {self.host} stored nothing of these messages.",
                "They may hold nothing worth remembering. If all others fare so, look at that server's log: "
                "its language model or its embedder may not work.",
            )
        return _add_result(request, done=not request.async_mode, task_id=request.task_id, memories=data)

    def read_search(self, data: Any, request: SearchRequest) -> SearchResult:
        """Read the `data` of the reply to a search.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        if not isinstance(data, dict) or "text_mem" not in data:
            raise not_understood(self.host, "no lists of memories")
        lists = {name: content for name, content in data.items() if name not in _BUCKETS}
        for bucket, (name, translate) in _BUCKETS.items():
            lists[name] = [_item(memory, translate) for memory in self._memories(data.get(bucket))]
        return _search_result(self.host, lists, request)

    def _memories(self, buckets: Any) -> list[dict[str, Any]]:
        """Join what a search found in each memory cube."""
        memories: list[dict[str, Any]] = []
        for bucket in buckets if isinstance(buckets, list) else [buckets] if buckets else []:
            found = bucket.get("memories") if isinstance(bucket, dict) else None
            if not isinstance(found, list) or not all(isinstance(memory, dict) for memory in found):
                raise not_understood(self.host, "no lists of memories")
            memories.extend(found)
        return memories


type Dialect = CloudDialect | SelfHostedDialect


def dialect_for(credentials: Credentials) -> Dialect:
    """Pick the API that these credentials speak: the one place that does.

    Raises:
        MemosInputError: The key is not one that this API takes.
    """
    in_cloud = "/openmem/" in f"{credentials.path}/"
    if credentials.deployment == "cloud" or (credentials.deployment == "auto" and in_cloud):
        return CloudDialect(credentials)
    return SelfHostedDialect(credentials)


# MemoryOS 2.0.33 drops these names of info without a word (memos/api/handlers/add_handler.py), or means
# something of its own by them: merged_from archives other memories.
_RESERVED_INFO = {
    *("background", "confidence", "covered_history", "created_at", "custom_tags", "dialog_id", "embedding"),
    *("evolve_to", "file_ids", "history", "id", "info", "internal_info", "is_fast", "key", "mem_cube_id"),
    *("memory", "memory_type", "merged_from", "metadata", "original_text", "preference", "preference_type"),
    *("relativity", "score", "session_id", "source", "source_doc_id", "sources", "status", "tags", "type"),
    *("updated_at", "usage", "user_id", "user_name", "version", "visibility", "working_binding"),
}


def _fact(memory: Body, metadata: Body) -> Body:
    return {"memory_value": memory.get("memory"), "memory_key": metadata.get("key")}


def _preference(memory: Body, metadata: Body) -> Body:
    return {"preference": metadata.get("preference") or memory.get("memory")}


def _tool(memory: Body, metadata: Body) -> Body:
    return {"tool_value": memory.get("memory"), "tool_type": metadata.get("memory_type")}


def _skill(memory: Body, metadata: Body) -> Body:
    names = ("name", "description", "procedure", "experience", "preference", "examples", "others")
    skill = {name: metadata.get(name) for name in names}
    return {"skill_value": skill | {"description": skill["description"] or memory.get("memory")}}


# The server's list of buckets -> the cloud's list, and how an item of the one becomes an item of the other.
_BUCKETS: dict[str, tuple[str, Callable[[Body, Body], Body]]] = {
    "text_mem": (LISTS["fact"], _fact),
    "pref_mem": (LISTS["preference"], _preference),
    "tool_mem": (LISTS["tool"], _tool),
    "skill_mem": (LISTS["skill"], _skill),
}


def _item(memory: Body, translate: Callable[[Body, Body], Body]) -> Body:
    """Give an item the cloud's names, and keep what the server said beyond them."""
    metadata = memory.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kept = {name: value for name, value in metadata.items() if name not in {"memory", "embedding"}}
    return kept | _without_absent(
        id=memory.get("id"),
        create_time=epoch_milliseconds(metadata.get("created_at")),
        conversation_id=metadata.get("session_id"),
        **translate(memory, metadata),
    )


def _search_result(host: str, data: Body, request: SearchRequest) -> SearchResult:
    lists, limits = dict(data), request.limits
    for kind, name in LISTS.items():
        items = data.get(name) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise not_understood(host, f"{name} is no list of memories")
        lists[name] = items[: limits[kind]]
    result = SearchResult(lists, request.user_id, request.max_context_chars)
    size = len(to_json(result.envelope))
    # The variable is not four times as large as what it was made of.
    if size > _LARGEST_MESSAGE / 4:
        size = max(size, len(to_json(result.variables["memories"])))
    if size > _LARGEST_MESSAGE:
        raise not_understood(host, "too large")
    return result


def _add_result(request: AddRequest, *, done: bool, task_id: str, memories: Sequence[Body] = ()) -> AddResult:
    # The ids that an asynchronous add of MemOS's own server returns die when it refines the memory.
    ids = [memory["memory_id"] for memory in memories if isinstance(memory.get("memory_id"), str)]
    return AddResult(
        {
            "status": "completed" if done else "running",
            "task_id": task_id,
            "memory_ids": ids if done else [],
            "message_count": len(request.turns),
            "user_id": request.user_id,
            "conversation_id": request.conversation_id or "",
        }
    )


def _messages(turns: Sequence[Message]) -> list[Body]:
    return [
        _without_absent(
            role=turn.role,
            content=turn.content,
            chat_time=turn.chat_time and turn.chat_time.isoformat(" ", "seconds"),
        )
        for turn in turns
    ]


def _filter(request: SearchRequest, *, created: str, midnight: str) -> Body | None:
    """Compile the simple filters, or pass on the raw one; the APIs differ in how they name and write a time.

    MemOS's own server reads a bare date differently from one of its databases to the next.
    """
    if request.filter:
        return request.filter
    conditions: list[Body] = [{"tags": {"contains": tag}} for tag in request.tags]
    if request.agent_id:
        conditions.append({"agent_id": request.agent_id})
    if request.app_id:
        conditions.append({"app_id": request.app_id})
    if request.created_after:
        conditions.append({created: {"gte": f"{request.created_after}{midnight}"}})
    if request.created_before:
        conditions.append({created: {"lt": f"{request.created_before}{midnight}"}})
    return {"and": conditions} if conditions else None


def _refuse(**parameters: Any) -> None:
    if given := [name for name, value in parameters.items() if value]:
        raise MemosInputError(f"{', '.join(given)}: only the MemOS cloud has this; leave it empty.")


def _without_absent(**values: Any) -> Body:
    return {name: value for name, value in values.items() if value not in (None, [], {})}
