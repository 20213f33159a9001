"""The API of MemOS's own, open-source server (seen on MemoryOS 2.0.33): paths, bodies, replies."""

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any
from uuid import uuid4

from memos_client.credentials import Credentials
from memos_client.errors import MemosInputError, MemosServerError, bad_reply
from memos_client.fields import present
from memos_client.inputs import AddRequest, FeedbackRequest, ListRequest, SearchRequest, Selection
from memos_client.kinds import KINDS, Item, Kind, OwnServer, plain
from memos_client.labels import Conditions
from memos_client.memories import Added, Lists, Lookup, current, moment
from memos_client.transport import LARGEST_REPLY

# How many of each kind are asked for where the conditions are checked here.
_MOST_CHECKED = 100
_KIND_OF = {name: kind for kind in KINDS if kind.own for name in kind.own.types}
_FIELD = re.compile(r"[A-Za-z_]\w*")
_BY_ITSELF = "an own MemOS server decides by itself; leave What to Remember at facts and preferences"


class SelfHostedDialect:
    """How MemOS's own server is spoken to. Nothing here does I/O."""

    add_path = "/product/add"
    search_path = "/product/search"
    list_path = "/product/get_memory"
    delete_path = "/product/delete_memory"
    feedback_path = "/product/feedback"
    # On PostgreSQL, a listing is everything that is kept of a user: some ten thousand memories.
    largest_list = 16 * LARGEST_REPLY
    not_found_advice = "MemOS replaces ids while it refines; list again."

    def __init__(self, credentials: Credentials) -> None:
        self.url = credentials.url.removesuffix("/product")
        self._host = credentials.host

    def search_body(self, request: SearchRequest) -> dict[str, Any]:
        """The body of a search.

        Plain conditions are not in it: of this server's databases, PostgreSQL ignores them, and Neo4j's tags
        are what a model made of them. `read_search` checks them.

        Raises:
            MemosInputError: A parameter that this server does not have.
        """
        _refuse(knowledgebase_ids=request.knowledgebase_ids)
        limit = _MOST_CHECKED if request.filter.are_plain else request.memory_limit_number
        body: dict[str, Any] = {}
        for kind in KINDS:
            if kind.own:
                body[kind.own.limit] = limit
                if kind.own.switch:
                    body[kind.own.switch] = kind in request.wanted
        return body | present(
            query=request.query,
            user_id=request.user_id,
            readable_cube_ids=[request.user_id],
            # What a score means depends on the embedder that the server's owner chose, and the default of
            # 0.45 hides what was stored a moment ago.
            relativity=request.relativity or 0,
            filter=_raw_filter(request.filter),
            # By itself, this server leaves out what it takes for the same said twice: also what meets the
            # conditions, for what does not. Without that it may score all alike: not where a score counts.
            dedup="no" if request.filter.are_plain and not request.relativity else None,
        )

    def read_search(self, data: Any, request: SearchRequest) -> Lists:
        """Read the `data` of the reply to a search, and check the plain conditions.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        if not isinstance(data, dict) or "text_mem" not in data:
            raise bad_reply(self._host, "no lists of memories")
        return {
            kind: [
                _item(kind.own, memory, metadata)
                for memory, metadata in _mixed(self._memories(data.get(kind.own.bucket)))
                if _holds(request.filter, metadata)
            ]
            for kind in request.wanted
            if kind.own
        }

    def _memories(self, buckets: Any) -> list[tuple[Item, Item]]:
        """Join what a search found in each memory cube: (memory, its metadata)."""
        memories: list[tuple[Item, Item]] = []
        for bucket in buckets if isinstance(buckets, list) else [buckets] if buckets else []:
            found = bucket.get("memories") if isinstance(bucket, dict) else None
            if not isinstance(found, list) or not all(isinstance(memory, dict) for memory in found):
                raise bad_reply(self._host, "no lists of memories")
            memories.extend((memory, _object(memory.get("metadata"))) for memory in found)
        return memories

    def add_body(self, request: AddRequest) -> dict[str, Any]:
        """The body of an add.

        Raises:
            MemosInputError: A parameter that this server does not have.
        """
        _refuse(extract_prompt=request.extract_prompt)
        if request.kinds != "facts_and_preferences":
            raise MemosInputError(f"kinds: {_BY_ITSELF}.", of_the_builder=True)
        tags = list(request.labels.tags)
        # An asynchronous add loses the tags on their way to its second half, which looks for them in info.
        # What a model makes of them there is no condition to search by: so info has them a second time.
        info = {**request.labels.values, **present(custom_tags=tags, dify_tags=tags)}
        return present(
            user_id=request.user_id,
            writable_cube_ids=[request.user_id],
            session_id=request.conversation_id,
            # Where one message has no content at all, this server writes no time into any of them.
            messages=[{"content": None} | turn.body for turn in request.turns],
            custom_tags=tags,
            info=info,
            async_mode="async" if request.async_mode else "sync",
            # This server wants its client to choose one, and does not return it.
            task_id=str(uuid4()),
        )

    def read_add(self, data: Any, request: AddRequest) -> Added:
        """Read the `data` of the reply to an add; None is that of an asynchronous one without a body.

        Raises:
            MemosServerError: MemOS stored nothing.
            MemosReplyError: It is no list of memories.
        """
        if data is None and request.async_mode:
            return Added("running")
        if not isinstance(data, list) or not all(isinstance(memory, dict) for memory in data):
            raise bad_reply(self._host, "no list of memories")
        if not data:
            raise MemosServerError(
                f"MemOS at {self._host} stored nothing of these messages.",
                "They may hold nothing worth remembering. If all others fare so, look at that server's log: "
                "its language model or its embedder may not work.",
                refused=True,
            )
        if request.async_mode:
            # The ids that it names die when MemOS refines the memory.
            return Added("running")
        ids = [memory["memory_id"] for memory in data if isinstance(memory.get("memory_id"), str)]
        return Added("completed", memory_ids=ids)

    def list_body(self, request: ListRequest, _: int) -> dict[str, Any]:
        """The body of a listing, which has one page: PostgreSQL ignores what is said of pages."""
        switches = {
            kind.own.list_switch: kind in request.wanted
            for kind in KINDS
            if kind.own and kind.own.list_switch
        }
        return switches | present(
            mem_cube_id=request.user_id, user_id=request.user_id, filter=_raw_filter(request.filter)
        )

    def read_list(self, data: Any, request: ListRequest) -> Lists:
        """Read the `data` of the reply to a listing, and check the plain conditions.

        PostgreSQL gives the same rows in every family: they are told apart by what they call themselves. What
        calls itself nothing that is known is of the first family that has it.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        if not isinstance(data, dict) or "text_mem" not in data:
            raise bad_reply(self._host, "no lists of memories")
        rows: dict[tuple[str, str], tuple[Kind, Item, Item]] = {}
        for kind in KINDS:
            for memory, metadata in self._memories(kind.own and data.get(kind.own.bucket)):
                row_type = str(metadata.get("memory_type"))
                row = (_KIND_OF.get(row_type, kind), memory, metadata)
                rows.setdefault((str(memory.get("id")), row_type), row)
        by_age = sorted(rows.values(), key=lambda row: (str(row[2].get("created_at")), str(row[1].get("id"))))
        return {
            kind: [
                _item(kind.own, memory, metadata)
                for row_kind, memory, metadata in by_age
                if row_kind is kind and _holds(request.filter, metadata)
            ]
            for kind in request.wanted
            if kind.own
        }

    def is_last_page(self, *_: Any) -> bool:
        """Whether no page follows: there is but one."""
        return True

    def candidates(self, request: SearchRequest) -> Lookup:
        """The request by which to find what reads as `request.query` does: a search would hide twins."""
        return Lookup(self.list_path, self.list_body(_listing(request.user_id, "facts_and_preferences"), 1))

    def read_candidates(self, data: Any, request: SearchRequest) -> Lists:
        """Read the `data` of its reply.

        Raises:
            MemosReplyError: It holds no lists of memories.
        """
        return self.read_list(data, _listing(request.user_id, "facts_and_preferences"))

    def lookups(self, user_id: str, _: Sequence[str]) -> list[Lookup]:
        """The request by which to see which memories there are: the listing of the user's cube."""
        return [Lookup(self.list_path, self.list_body(_listing(user_id, "all"), 1))]

    def read_lookup(self, data: Any, user_id: str) -> set[str]:
        """Read the `data` of the reply to a lookup: the ids of memories that are this user's."""
        found = current(self.read_list(data, _listing(user_id, "all")))
        return {one.memory["id"] for one in found if "id" in one.memory}

    def delete_body(self, user_id: str, memory_ids: Sequence[str]) -> dict[str, Any]:
        """The body of a deletion: of these memories, whosever they are, or of all that are the user's."""
        which = {"memory_ids": list(memory_ids)} if memory_ids else {"user_id": user_id}
        return which | {"writable_cube_ids": [user_id]}

    def feedback_body(self, request: FeedbackRequest) -> dict[str, Any]:
        """The body of a feedback."""
        return {
            "user_id": request.user_id,
            "writable_cube_ids": [request.user_id],
            "session_id": request.conversation_id,
            # The key is needed, and None is what this server takes for "no history".
            "history": None,
            "feedback_content": request.feedback,
        }

    def read_feedback(self, data: Any) -> Added:
        """Read the `data` of the reply to a feedback.

        Raises:
            MemosReplyError: It is no list of changes.
        """
        if not isinstance(data, list):
            raise bad_reply(self._host, "no list of changes")
        return Added("running")


def _listing(user_id: str, kinds: Selection) -> ListRequest:
    return ListRequest.model_construct(user_id=user_id, kinds=kinds)


def _refuse(**parameters: Any) -> None:
    if given := [name for name, value in parameters.items() if value]:
        words = f"{', '.join(given)}: only the MemOS cloud has this; leave it empty."
        raise MemosInputError(words, of_the_builder=True)


def _mixed(memories: Iterable[tuple[Item, Item]]) -> list[tuple[Item, Item]]:
    """Take in turn from each type of memory: each comes most relevant first, and one type after the other."""
    types: dict[str, list[tuple[Item, Item]]] = {}
    for memory, metadata in memories:
        types.setdefault(str(metadata.get("memory_type")), []).append((memory, metadata))
    return [one for rank in zip_longest(*types.values()) for one in rank if one]


def _raw_filter(conditions: Conditions) -> Any:
    raw = conditions.raw or {}
    if not raw.keys() <= {"and", "or"}:
        words = "filter: a self-hosted MemOS has no filters for each source."
        raise MemosInputError(words, of_the_builder=True)
    # One of its databases, Neo4j, takes these names into the text of its queries.
    if not all(_FIELD.fullmatch(name) for rules in raw.values() for rule in rules for name in rule):
        words = "filter: a name holds only letters, digits and _ on a self-hosted MemOS."
        raise MemosInputError(words, of_the_builder=True)
    return conditions.raw


def _holds(conditions: Conditions, metadata: Item) -> bool:
    """Whether a memory meets plain conditions: PostgreSQL keeps its labels in `info`, Neo4j does not."""
    if not conditions.are_plain:
        return True
    said = {**metadata, **_object(metadata.get("info"))}
    lists = (source.get(name) for source in (metadata, said) for name in ("tags", "dify_tags"))
    tags = {tag for found in lists if isinstance(found, list) for tag in found if isinstance(tag, str)}
    values = {name: plain(said.get(name)) for name in conditions.values}
    return conditions.hold(tags, values, moment(metadata.get("created_at")))


def _object(value: Any) -> Item:
    return value if isinstance(value, dict) else {}


def _item(own: OwnServer, memory: Item, metadata: Item) -> dict[str, Any]:
    """Give a memory the cloud's names."""
    created = moment(metadata.get("created_at"))
    updated = moment(metadata.get("updated_at"))
    return own.translate(memory.get("memory"), metadata) | present(
        id=memory.get("id"),
        create_time=created and round(created.timestamp() * 1000),
        update_time=updated and round(updated.timestamp() * 1000),
        conversation_id=metadata.get("session_id"),
        status=metadata.get("status"),
        confidence=metadata.get("confidence"),
        tags=metadata.get("tags"),
        relativity=metadata.get("relativity"),
    )
