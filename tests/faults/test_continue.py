"""If MemOS Fails: Continue. Whatever goes wrong, the chat gets its variables, and soon."""

import ssl
from typing import Any

import pytest
import yaml

from sandbox.plugin_process import REPOSITORY, Invocation, PluginProcess
from tests.faults.conftest import CALLS, TOOLS, call, place
from tests.faults.faulty_server import FaultyServer, healthy
from tests.faults.wire_faults import FAULTS, STORED, Fault

NAMED = {fault.name: fault for fault in FAULTS}
LONG = {"query": "x" * 500_000, "user_messages": "x" * 500_000}
EMPTY: dict[str, dict[str, Any]] = {
    "search_memory": {
        "memory_context": "",
        "memories": [],
        "count": 0,
        "found": False,
        "user_id": "user-1",
    },
    "add_memory": {
        "status": "failed",
        "task_id": "",
        "memory_ids": [],
        "message_count": 0,
        "user_id": "user-1",
    },
}


def check_it_continues(tool: str, done: Invocation, words: str) -> None:
    """All that a tool declares is there, empty, and the error where builders and models look for it."""
    declaration = yaml.safe_load((REPOSITORY / f"tools/{tool}.yaml").read_text())
    assert done.error is None
    assert done.variables.keys() == declaration["output_schema"]["properties"].keys()
    assert done.variables.items() >= EMPTY[tool].items()
    assert words in done.variables["error"]
    assert done.text == done.variables["error"]
    assert done.json[0]["message"] == done.variables["error"]
    assert done.json[0]["code"] != 0


@pytest.mark.parametrize(("tool", "api"), CALLS)
@pytest.mark.parametrize(
    ("fault", "given", "words"),
    [
        pytest.param(NAMED["connection refused"], {}, "(connection refused)", id="down"),
        pytest.param(NAMED["silence"], {}, "(silent for 1.5 s)", id="silent"),
        pytest.param(NAMED["body byte by byte"], {}, "(not complete within 1.5 s)", id="dripping"),
        pytest.param(NAMED["HTTP 401"], {}, "Check the API key", id="wrong key"),
        pytest.param(NAMED["HTTP 413"], LONG, "Send less text", id="500,000 characters"),
    ],
)
def test_trouble_with_memos_ends_no_chat(
    plugin: PluginProcess,
    certificates: dict[str, ssl.SSLContext],
    fault: Fault,
    given: dict[str, str],
    words: str,
    tool: str,
    api: str,
) -> None:
    with place(fault, certificates) as server:
        done = call(plugin, tool, api, server.url, on_error="continue", **given)
    check_it_continues(tool, done, words)
    assert (STORED in done.text) == (tool == "add_memory" and "1.5 s" in words)


@pytest.mark.parametrize(
    ("tool", "given", "words"),
    [
        ("search_memory", {"query": ""}, "query: needed."),
        ("search_memory", {"query": "1767225699999.text"}, "1767225699999.text has no value"),
        (
            "add_memory",
            {"user_messages": "", "ai_messages": "<think>Perhaps diabetic.</think>"},
            "at least one",
        ),
    ],
)
def test_nothing_said_ends_no_chat(
    plugin: PluginProcess, tool: str, given: dict[str, str], words: str
) -> None:
    with FaultyServer(healthy) as server:
        check_it_continues(tool, call(plugin, tool, "cloud", server.url, on_error="continue", **given), words)
    assert server.connections == 0


def test_synchronous_add_keeps_its_time(
    plugin: PluginProcess, certificates: dict[str, ssl.SSLContext]
) -> None:
    with place(NAMED["silence"], certificates) as server:
        done = call(plugin, "add_memory", "cloud", server.url, on_error="continue", async_mode=False)
    check_it_continues("add_memory", done, f"(silent for 5 s).{STORED}")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("wrong", [{"kinds": "nonsense"}, {"user_id": "{{sys.user_id}}"}])
def test_form_that_can_not_work_is_told_all_the_same(
    plugin: PluginProcess, tool: str, wrong: dict[str, str]
) -> None:
    with FaultyServer(healthy) as server:
        done = call(plugin, tool, "cloud", server.url, on_error="continue", **wrong)
    assert done.error
    assert done.error.error_type == "MemosInputError"
    assert server.connections == 0
