"""PRIVACY.md names everything that goes to MemOS."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from memos_client import client
from memos_client.cloud import CloudDialect
from memos_client.credentials import CLOUDS, read_credentials
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, DeleteRequest, FeedbackRequest, ListRequest, SearchRequest
from memos_client.self_hosted import SelfHostedDialect
from tests.docs.pages import REPOSITORY

PRIVACY = (REPOSITORY / "PRIVACY.md").read_text()

# A field of a request -> what users call it. One that is missing here fails the test: tell users about it.
NAMES = {
    "messages": "**Messages**",
    "content": "the text that users and assistant wrote",
    "role": "the role of each writer",
    "chat_time": "a time",
    **dict.fromkeys(("tool_calls", "tool_call_id"), "tool calls"),
    "query": "**Query**",
    "memory_ids": "**Memory IDs**",
    **dict.fromkeys(("feedback_content", "history"), "**Feedback**"),
    **dict.fromkeys(("page", "size"), "how many results"),
    **dict.fromkeys(("user_id", "writable_cube_ids", "readable_cube_ids", "mem_cube_id"), "**User ID**"),
    **dict.fromkeys(("conversation_id", "session_id"), "**Conversation ID**"),
    **dict.fromkeys(("tags", "custom_tags"), "**Labels**: tags"),
    "agent_id": "an agent ID",
    "app_id": "an app ID",
    "info": "other labels",
    "filter": "**Filter**",
    **dict.fromkeys(("and", "contains", "create_time", "gte", "lt"), "tags, labels and dates"),
    "custom_extract_prompt": "**Instructions for MemOS**",
    "knowledgebase_ids": "**Knowledge base IDs**",
    **dict.fromkeys(("memory_limit_number", "preference_limit_number"), "how many results"),
    **dict.fromkeys(("tool_memory_limit_number", "skill_limit_number"), "how many results"),
    **dict.fromkeys(("top_k", "pref_top_k", "tool_mem_top_k", "skill_mem_top_k"), "how many results"),
    **dict.fromkeys(("include_preference", "include_skill", "include_skill_memory"), "of which kind"),
    **dict.fromkeys(("include_tool_memory", "search_tool_memory", "include_memory_view"), "of which kind"),
    "relativity": "the minimum relevance",
    "allow_memory_view": "what to remember",
    "async_mode": "in the background or not",
    "task_id": "**Task ID**",
    "source": "**Source**",
}
# Their values are of the builder's own making.
OF_THE_BUILDER = {"info", "tool_calls", "custom_extract_prompt"}

CALLER = Caller("u", app_id="a", conversation_id="c", api_key="")
SEARCH = {"query": "q", "relativity": 0.5, "memory_limit_number": 3, "on_error": "continue", "user_id": "u"}
PLAIN = "food, scene=chat, agent_id=a, app_id=p, created_after=2026-01-01, created_before=2026-02-01"
MESSAGE = {
    "role": "tool",
    "content": "x",
    "chat_time": "2026-01-31 09:30:00",
    "tool_calls": [{"of the model's own making": 1}],
    "tool_call_id": "t",
}
OWN_FILTER = '{"and": [{"create_time": {"gte": "2026-01-01"}}]}'
LABELS = "food, scene=chat, agent_id=a, app_id=p"
ADD = {"messages": [MESSAGE], "labels": LABELS, "async_mode": False, "on_error": "continue", "user_id": "u"}
CLOUD_SEARCH = SEARCH | {"kinds": "all", "filter": PLAIN, "knowledgebase_ids": "k"}
CLOUD_ADD = ADD | {"kinds": "all", "extract_prompt": "x", "conversation_id": "c"}
LIST = {"kinds": "all", "limit": 5, "page": 2, "filter": OWN_FILTER, "on_error": "continue"}
FEEDBACK = {"feedback": "x", "conversation_id": "c"}
OWN_SEARCH = SEARCH | {"kinds": "all", "filter": OWN_FILTER}


def bodies() -> Iterator[tuple[str, Any]]:
    """The requests in which every parameter is set that the server has, by their name."""
    cloud = CloudDialect(
        read_credentials({"memos_url": CLOUDS["memos.memtensor.cn"], "memos_api_key": "Token mpg-test"})
    )
    yield "cloud search", cloud.search_body(SearchRequest.parse(CLOUD_SEARCH, CALLER))
    yield "cloud add", cloud.add_body(AddRequest.parse(CLOUD_ADD, CALLER))
    own = SelfHostedDialect(read_credentials({"memos_url": "http://127.0.0.1:8000"}))
    yield "own server search", own.search_body(SearchRequest.parse(OWN_SEARCH, CALLER))
    yield "own server add", own.add_body(AddRequest.parse(ADD, CALLER))
    for name, dialect in (("cloud", cloud), ("own server", own)):
        yield f"{name} list", dialect.list_body(ListRequest.parse(LIST, CALLER), 1)
        yield f"{name} delete", dialect.delete_body("u", ["m"])
        yield f"{name} feedback", dialect.feedback_body(FeedbackRequest.parse(FEEDBACK, CALLER))


def fields(value: Any) -> Iterator[str]:
    """Every name in a request, but for those of the builder's own making: labels among them."""
    if isinstance(value, dict):
        for name, content in value.items():
            yield name if name != "scene" else "info"
            yield from () if name in OF_THE_BUILDER else fields(content)
    elif isinstance(value, list):
        for content in value:
            yield from fields(content)


BODIES = dict(bodies())


@pytest.mark.parametrize("name", BODIES)
def test_each_field_that_is_sent_is_named(name: str) -> None:
    sent = set(fields(BODIES[name]))
    assert sent <= NAMES.keys()
    assert [NAMES[field] for field in sent if NAMES[field] not in PRIVACY] == []


def test_nothing_is_named_that_is_not_sent() -> None:
    assert {field for body in BODIES.values() for field in fields(body)} == NAMES.keys()


def test_every_parameter_was_set() -> None:
    requests = (AddRequest, SearchRequest, ListRequest, DeleteRequest, FeedbackRequest)
    every = {name for request in requests for name in request.model_fields}
    given = {*CLOUD_SEARCH, *CLOUD_ADD, *LIST, *FEEDBACK, "memory_ids"}
    assert every == given | {"user_messages", "ai_messages", "delete_all"}


def test_the_headers_the_probe_every_host_and_the_contact_are_named() -> None:
    manifest = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())
    named = ("Authorization", client._HEADERS["User-Agent"], client._PROBE_USER, *CLOUDS)
    for name in (*named, *manifest["network"]["domains"]):
        assert f"`{name}`" in PRIVACY
    assert manifest["contact"] in PRIVACY
