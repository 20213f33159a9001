"""Whoever talks to an agent's model can have it send any parameter: none reaches another user's memory."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.plugin_process import PluginProcess
from tests.agents.dify_agents import AGENTS, FOR_AGENTS, TOOLS
from tests.runtime.memos import FACT, SECRET, USER, VICTIM, Memos, call

# What a model has to send for the tool to do something.
LEAST: dict[str, dict[str, Any]] = {
    "search_memory": {"query": "food"},
    "add_memory": {"user_messages": FACT},
    "list_memories": {},
    "delete_memories": {"memory_ids": "m1"},
    "add_feedback": {"feedback": "I eat fish again."},
    "recall": {"query": "food"},
    "remember": {"content": FACT},
    "forget": {"memory": FACT},
}
DECLARED = {tool: [one["name"] for one in declared["parameters"]] for tool, declared in TOOLS.items()}
# Of MemOS's own APIs, and of what this plugin's tools were once given.
OF_MEMOS = (
    *("agent_id", "allow_knowledgebase_ids", "allow_memory_view", "allow_public", "app_id", "chat_history"),
    *("context_format", "conversation_first_message", "created_after", "created_before", "credentials"),
    *("cube_id", "custom_extract_prompt", "custom_tags", "dedup", "deployment", "doc_path"),
    *("feedback_content", "file_ids", "filter", "history", "include_memory_view", "include_preference"),
    *("include_skill", "include_skill_memory", "include_tool_memory", "info", "internet_search"),
    *("is_feedback", "json_output", "max_context_chars", "mem_cube_id", "memory_content", "memory_id"),
    *("memory_type", "memos_api_key", "memos_url", "mode", "neighbor_discovery", "pref_top_k"),
    *("preference_limit_number", "project_id", "readable_cube_ids", "reference_time", "rerank"),
    *("retrieved_memory_ids", "runtime", "search_memory_type", "search_tool_memory", "session", "session_id"),
    *("size", "skill_limit_number", "skill_mem_top_k", "source", "tags", "task_id", "threshold"),
    *("tool_mem_top_k", "tool_memory_limit_number", "top_k", "user_ids", "user_name", "writable_cube_ids"),
)
SIGNED = f"{VICTIM}~{'A' * 22}"
HOSTILE: dict[str, Any] = {
    "another user": VICTIM,
    "a key made up": SIGNED,
    "blank": " ",
    "null": None,
    "a list": [VICTIM],
    "an object": {"user_id": VICTIM},
    "JSON": f'{{"and": [{{"user_id": "{VICTIM}"}}]}}',
    "a number": 7,
    "true": True,
    "another's memory": "m2",
    "another's text": SECRET,
}
[agent_node] = [agent for agent in AGENTS if agent.name == "Agent node"]
all_tools = pytest.mark.parametrize("tool", LEAST)
hostile = pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)


def steer(plugin: PluginProcess, server: Memos, tool: str, models: Mapping[str, Any], **builders: Any) -> str:
    """Call a tool of an Agent node; return all that it said, but for the name of a fresh conversation."""
    server.begin()
    done = call(plugin, server, tool, agent_node.merged(tool, builders, LEAST[tool] | models))
    return re.sub("dify-[0-9a-f-]{36}", "dify-", f"{done.messages} {done.error}")


def test_these_are_all_tools() -> None:
    assert LEAST.keys() == TOOLS.keys()


@all_tools
def test_unsteered_call_names_the_run_s_user(plugin: PluginProcess, server: Memos, tool: str) -> None:
    steer(plugin, server, tool, {})
    assert server.named == {USER}


@all_tools
@hostile
def test_declared_parameter_reaches_nobody_else(
    plugin: PluginProcess, server: Memos, tool: str, value: Any
) -> None:
    for name in DECLARED[tool]:
        said = steer(plugin, server, tool, {name: value}, **{name: ""})
        assert server.named <= {USER}, name
        assert SECRET not in said or value == SECRET
        assert server.kept[VICTIM] == {"m2": SECRET}


@all_tools
@hostile
def test_undeclared_parameter_changes_nothing(
    plugin: PluginProcess, server: Memos, tool: str, value: Any
) -> None:
    names = {*OF_MEMOS, *(name for names in DECLARED.values() for name in names)} - set(DECLARED[tool])
    usual = steer(plugin, server, tool, {})
    requests = server.requests
    assert steer(plugin, server, tool, dict.fromkeys(names, value)) == usual
    assert server.requests == requests


@all_tools
def test_all_at_once_reaches_nobody_else(plugin: PluginProcess, server: Memos, tool: str) -> None:
    for value in (VICTIM, SIGNED, [VICTIM], {"user_id": VICTIM}):
        names = {*OF_MEMOS, *DECLARED[tool]} - LEAST[tool].keys()
        steer(plugin, server, tool, dict.fromkeys(names, value))
        assert server.named <= {USER}


def test_a_node_of_a_workflow_would_reach_them(plugin: PluginProcess, server: Memos) -> None:
    """So that the tests above can fail."""
    done = call(plugin, server, "search_memory", {"query": "x", "user_id": VICTIM}, app_id="app-1")
    assert server.named == {VICTIM}
    assert SECRET in done.text


@pytest.mark.parametrize("tool", FOR_AGENTS)
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_builder_s_user_key_opens_its_owner_s_memory_until_a_model_replaces_it(
    plugin: PluginProcess, server: Memos, agent: Any, tool: str
) -> None:
    given = {"query": "x", "user_id": "customer-7"}
    key = call(plugin, server, "search_memory", given, app_id="app-1").variables["user_key"]
    for models, reached in (
        ({}, {"customer-7"}),
        *(({"user_key": value}, set()) for value in (VICTIM, SIGNED, f"{VICTIM}{key[10:]}", [VICTIM], 7)),
        *(({"user_key": value}, {USER}) for value in ("", " ", None, [], [None])),
    ):
        server.begin()
        call(plugin, server, tool, agent.merged(tool, {"user_key": key}, LEAST[tool] | models))
        assert server.named == (reached if agent.model_wins else {"customer-7"}), models
