"""PRIVACY.md names everything that goes to MemOS."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from memos_client import client
from memos_client.dialects import dialect_for
from memos_client.models import CLOUDS, AddRequest, Credentials, SearchRequest
from tests.docs.pages import REPOSITORY

PRIVACY = (REPOSITORY / "PRIVACY.md").read_text()

# A field of a request -> what users call it. One that is missing here fails the test: tell users about it.
NAMES = {
    "messages": "**Messages**",
    "content": "the text that users and assistant wrote",
    "role": "the role of each writer",
    "chat_time": "a time",
    "query": "**Query**",
    **dict.fromkeys(("user_id", "writable_cube_ids", "readable_cube_ids"), "**User ID**"),
    **dict.fromkeys(("conversation_id", "session_id"), "**Conversation ID**"),
    "agent_id": "**Agent ID, app ID",
    "app_id": "**Agent ID, app ID",
    **dict.fromkeys(("tags", "custom_tags"), "tags"),
    "info": "metadata** (Info)",
    "filter": "**Filters**",
    **dict.fromkeys(("and", "or", "contains"), "a MemOS filter of your own"),
    **dict.fromkeys(("create_time", "created_at", "gte", "lt"), "dates"),
    **dict.fromkeys(("knowledgebase_ids", "allow_knowledgebase_ids"), "**Knowledge base IDs**"),
    **dict.fromkeys(("memory_limit_number", "top_k"), "how many results"),
    **dict.fromkeys(("preference_limit_number", "pref_top_k"), "how many results"),
    **dict.fromkeys(("tool_memory_limit_number", "tool_mem_top_k"), "how many results"),
    **dict.fromkeys(("skill_limit_number", "skill_mem_top_k"), "how many results"),
    **dict.fromkeys(("include_preference", "include_skill", "include_skill_memory"), "of which kind"),
    **dict.fromkeys(("include_tool_memory", "search_tool_memory"), "of which kind"),
    "relativity": "the minimum relevance",
    "async_mode": "asynchronous or not",
    "allow_public": "public memory or not",
    "task_id": "**Task ID**",
    "source": "**Source**",
}

SHARED = {"user_id": "u", "conversation_id": "c", "tags": "t", "agent_id": "a", "app_id": "p"}
SEARCH = SHARED | {
    "query": "q",
    "relativity": 0.5,
    "created_after": "2026-01-01",
    "created_before": "2026-02-01",
}
ADD = SHARED | {
    "messages": [{"role": "user", "content": "x", "chat_time": "2026-01-31 09:30:00"}],
    "info": {"of the user's own making": 1},
}
CREDENTIALS = {
    "cloud": {"memos_url": CLOUDS["memos.memtensor.cn"], "memos_api_key": "Token mpg-test"},
    "own server": {"memos_url": "http://127.0.0.1:8000"},
}
CLOUD_ONLY = {
    "search": {"knowledgebase_ids": "k"},
    "add": {"allow_knowledgebase_ids": "k", "allow_public": True},
}


def bodies() -> Iterator[tuple[str, Any]]:
    """The requests in which every parameter is set, by their name."""
    for server, credentials in CREDENTIALS.items():
        dialect = dialect_for(Credentials.parse(credentials))
        more = CLOUD_ONLY if server == "cloud" else {name: {} for name in CLOUD_ONLY}
        yield f"{server} search", dialect.search_body(SearchRequest.parse(SEARCH | more["search"]))
        yield f"{server} add", dialect.add_body(AddRequest.parse(ADD | more["add"]))


def fields(value: Any) -> Iterator[str]:
    """Every name in a request; what is in metadata is named by the builder."""
    if isinstance(value, dict):
        for name, content in value.items():
            yield name
            yield from () if name == "info" else fields(content)
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
    sent = {field for body in BODIES.values() for field in fields(body)}
    assert NAMES.keys() - sent <= {"or"}


def test_every_parameter_was_set() -> None:
    every = set(AddRequest.model_fields) | set(SearchRequest.model_fields)
    kept_here = {"max_context_chars", "json_output"}
    instead_of_others = {"filter", "user_messages", "ai_messages"}
    switches = {name for name in every if name.startswith("include_") or name.endswith("_limit_number")}
    given = {*SEARCH, *ADD, *CLOUD_ONLY["search"], *CLOUD_ONLY["add"], "async_mode"}
    assert every == given | switches | kept_here | instead_of_others


def test_the_headers_and_the_probe_are_named() -> None:
    assert "`Authorization`" in PRIVACY
    assert f"`{client._HEADERS['User-Agent']}`" in PRIVACY
    assert f"`{client._PROBE_USER}`" in PRIVACY


def test_it_names_every_host_and_the_contact() -> None:
    manifest = yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())
    for host in (*CLOUDS, *manifest["network"]["domains"]):
        assert f"`{host}`" in PRIVACY
    assert manifest["contact"] in PRIVACY
