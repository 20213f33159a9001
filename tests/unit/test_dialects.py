"""The request bodies of both APIs, and the parameters that one of them can't honour."""

from typing import Any
from uuid import UUID

import pytest

from memos_client.errors import MemosInputError
from memos_client.models import AddRequest, SearchRequest
from tests.unit.samples import CLOUD, SELF_HOSTED, Deployment, cases, of_each

Body = dict[str, Any]
LEAST_SEARCH = {"query": "food", "user_id": "user-1"}
DEFAULTS = {
    "memory_limit_number": 6,
    "include_preference": True,
    "preference_limit_number": 6,
    "include_tool_memory": False,
    "tool_memory_limit_number": 6,
    "include_skill": False,
    "skill_limit_number": 6,
}
FULL_SEARCH = LEAST_SEARCH | {
    "memory_limit_number": 3,
    "include_preference": False,
    "preference_limit_number": 4,
    "include_tool_memory": True,
    "tool_memory_limit_number": 5,
    "include_skill": True,
    "skill_limit_number": 7,
    "relativity": 0.5,
    "conversation_id": "conversation-1",
}
LEAST_ADD = {"user_id": "user-1", "user_messages": "Hello."}
FULL_ADD = {
    "user_id": "user-1",
    "messages": [
        {"role": "user", "content": "I eat no meat.", "chat_time": "2026-01-31 09:30:00"},
        {"role": "assistant", "content": "Noted.", "chat_time": "2026-01-31T23:30:00-02:00"},
    ],
    "conversation_id": "conversation-1",
    "agent_id": "agent-1",
    "app_id": "app-1",
    "tags": "food, home",
    "info": {"scene": "chat"},
    "async_mode": False,
}
FULL_MESSAGES = [
    {"role": "user", "content": "I eat no meat.", "chat_time": "2026-01-31 09:30:00"},
    {"role": "assistant", "content": "Noted.", "chat_time": "2026-02-01 01:30:00"},
]
# What the cloud calls by the tool's own names, on a self-hosted server.
OWN_NAMES = {
    "conversation_id": "session_id",
    "memory_limit_number": "top_k",
    "preference_limit_number": "pref_top_k",
    "include_tool_memory": "search_tool_memory",
    "tool_memory_limit_number": "tool_mem_top_k",
    "include_skill": "include_skill_memory",
    "skill_limit_number": "skill_mem_top_k",
    "tags": "custom_tags",
}


def renamed(values: Body) -> Body:
    return {OWN_NAMES.get(name, name): value for name, value in values.items()}


def search_body(deployment: Deployment, **values: Any) -> Body:
    return deployment.dialect.search_body(SearchRequest.parse(LEAST_SEARCH | values))


def add_body(deployment: Deployment, **values: Any) -> Body:
    return deployment.dialect.add_body(AddRequest.parse({"user_id": "user-1"} | values))


@of_each(
    "body",
    LEAST_SEARCH | DEFAULTS | {"source": "Dify"},
    renamed(LEAST_SEARCH | DEFAULTS) | {"readable_cube_ids": ["user-1"]},
)
def test_least_search(deployment: Deployment, body: Body) -> None:
    assert search_body(deployment) == body


@of_each("body", FULL_SEARCH | {"source": "Dify"}, renamed(FULL_SEARCH) | {"readable_cube_ids": ["user-1"]})
def test_full_search(deployment: Deployment, body: Body) -> None:
    assert search_body(deployment, **FULL_SEARCH) == body


def test_cloud_search_reads_knowledge_bases() -> None:
    assert search_body(CLOUD, knowledgebase_ids="kb-1, kb-2")["knowledgebase_ids"] == ["kb-1", "kb-2"]


def test_relativity_of_zero_is_sent(deployment: Deployment) -> None:
    assert search_body(deployment, relativity=0)["relativity"] == 0


@of_each("how", ("create_time", ""), ("created_at", "T00:00:00+00:00"))
def test_simple_filters_are_compiled(deployment: Deployment, how: tuple[str, str]) -> None:
    created, midnight = how
    days = {"created_after": "2026-01-01", "created_before": "2026-02-01"}
    body = search_body(deployment, tags="food, home", agent_id="agent-1", app_id="app-1", **days)
    assert body["filter"] == {
        "and": [
            {"tags": {"contains": "food"}},
            {"tags": {"contains": "home"}},
            {"agent_id": "agent-1"},
            {"app_id": "app-1"},
            {created: {"gte": f"2026-01-01{midnight}"}},
            {created: {"lt": f"2026-02-01{midnight}"}},
        ]
    }
    assert not {"tags", "agent_id", "app_id", *days} & body.keys()


@cases(
    "simple, condition",
    {
        "tag": ({"tags": "food"}, {"tags": {"contains": "food"}}),
        "agent": ({"agent_id": "agent-1"}, {"agent_id": "agent-1"}),
        "app": ({"app_id": "app-1"}, {"app_id": "app-1"}),
    },
)
def test_one_simple_filter_stands_alone(deployment: Deployment, simple: Body, condition: Body) -> None:
    assert search_body(deployment, **simple)["filter"] == {"and": [condition]}


@pytest.mark.parametrize("root", ["and", "or"])
def test_raw_filter_is_passed_on(deployment: Deployment, root: str) -> None:
    raw = {root: [{"scene": "chat"}, {"update_time": {"gte": "2026-01-01"}}]}
    assert search_body(deployment, filter=raw)["filter"] == raw


def test_own_server_takes_no_name_that_could_be_a_query() -> None:
    raw = {"and": [{"scene": "chat"}, {"x = 1 OR node.user": "chat"}]}
    assert search_body(CLOUD, filter=raw)["filter"] == raw
    with pytest.raises(MemosInputError, match=r"^filter: a name holds only letters"):
        search_body(SELF_HOSTED, filter=raw)


def test_filter_for_each_source_is_for_the_cloud() -> None:
    raw = {"user": {"and": [{"scene": "chat"}]}, "public": {"or": [{"scene": "chat"}]}}
    assert search_body(CLOUD, filter=raw)["filter"] == raw
    with pytest.raises(MemosInputError, match=r"^filter: a self-hosted MemOS has no filters for each source"):
        search_body(SELF_HOSTED, filter=raw)


HELLO = {"user_id": "user-1", "messages": [{"role": "user", "content": "Hello."}]}


@of_each(
    "body",
    HELLO | {"async_mode": True, "source": "Dify"},
    HELLO | {"async_mode": "async", "writable_cube_ids": ["user-1"]},
)
def test_least_add(deployment: Deployment, body: Body) -> None:
    sent = add_body(deployment, **LEAST_ADD)
    sent.pop("task_id", None)
    assert sent == body


FULL = FULL_ADD | {"messages": FULL_MESSAGES, "tags": ["food", "home"]}
IDENTITY = {"agent_id": "agent-1", "app_id": "app-1"}


@of_each(
    "body",
    FULL | {"source": "Dify"},
    {name: value for name, value in renamed(FULL).items() if name not in IDENTITY}
    | {
        "info": {"scene": "chat", "custom_tags": ["food", "home"]} | IDENTITY,
        "async_mode": "sync",
        "writable_cube_ids": ["user-1"],
    },
)
def test_full_add(deployment: Deployment, body: Body) -> None:
    sent = add_body(deployment, **FULL_ADD)
    sent.pop("task_id", None)
    assert sent == body


def test_cloud_add_writes_public_memory_and_knowledge_bases() -> None:
    body = add_body(CLOUD, user_messages="Hello.", allow_public=True, allow_knowledgebase_ids="kb-1")
    assert (body["allow_public"], body["allow_knowledgebase_ids"]) == (True, ["kb-1"])


def test_own_server_gets_a_new_task_name_with_every_add() -> None:
    names = [add_body(SELF_HOSTED, user_messages="Hello.")["task_id"] for _ in range(2)]
    assert len({UUID(name) for name in names}) == 2


def test_turns_keep_their_order_and_none_is_sent_without_text(deployment: Deployment) -> None:
    messages = [{"role": "user", "content": text} for text in ("b", "", "a", None)]
    assert [turn["content"] for turn in add_body(deployment, messages=messages)["messages"]] == ["b", "a"]


@cases(
    "make, values, names",
    {
        "knowledge base read": (search_body, {"knowledgebase_ids": "kb-1"}, "knowledgebase_ids"),
        "public": (add_body, LEAST_ADD | {"allow_public": True}, "allow_public"),
        "knowledge base": (add_body, LEAST_ADD | {"allow_knowledgebase_ids": "a"}, "allow_knowledgebase_ids"),
        "both": (
            add_body,
            LEAST_ADD | {"allow_public": True, "allow_knowledgebase_ids": "kb-1"},
            "allow_public, allow_knowledgebase_ids",
        ),
    },
)
def test_own_server_refuses_what_only_the_cloud_can_do(make: Any, values: Body, names: str) -> None:
    make(CLOUD, **values)
    with pytest.raises(MemosInputError) as caught:
        make(SELF_HOSTED, **values)
    assert str(caught.value) == f"{names}: only the MemOS cloud has this; leave it empty."


@pytest.mark.parametrize(
    "name", ["source", "tags", "type", "key", "status", "user_id", "session_id", "memory", "confidence"]
)
def test_own_server_would_drop_info_of_its_own_names(name: str) -> None:
    assert add_body(CLOUD, user_messages="Hello.", info={name: "x"})["info"] == {name: "x"}
    with pytest.raises(MemosInputError, match=rf"^info: .*\b{name}\b"):
        add_body(SELF_HOSTED, user_messages="Hello.", info={name: "x"})
