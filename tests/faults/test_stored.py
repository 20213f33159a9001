"""What MemOS did not store is never reported as stored, and what it has not stored yet not as done."""

import json
from typing import Any

import pytest

from sandbox.plugin_process import PluginProcess
from tests.faults.conftest import API_ROOTS, call
from tests.faults.faulty_server import FaultyServer, healthy
from tests.faults.wire_faults import Play, says

NOTHING = "MemosServerError"
UNCLEAR = "MemosReplyError"


def cloud(data: Any, code: int = 0) -> dict[str, Any]:
    """The cloud's envelope of a success."""
    return {"code": code, "message": "ok", "data": data}


NOT_STORED: list[tuple[str, Play, str]] = [
    ("cloud", says(cloud({"success": False})), NOTHING),
    ("cloud", says(cloud({"success": False, "task_id": "t1", "status": "running"})), NOTHING),
    ("cloud", says(cloud({"success": True, "task_id": "t1", "status": "failed"})), NOTHING),
    ("cloud", says(cloud({"success": True, "status": "failed"}, code=200)), NOTHING),
    ("cloud", says(cloud({"status": "failed"})), NOTHING),
    ("cloud", says(cloud({})), UNCLEAR),
    ("cloud", says(cloud(None)), UNCLEAR),
    ("cloud", says(cloud([])), UNCLEAR),
    ("cloud", says(cloud({"success": None})), UNCLEAR),
    ("cloud", says(cloud({"task_id": "t1"})), UNCLEAR),
    ("cloud", says({"code": 0, "message": "ok"}), UNCLEAR),
    ("cloud", says({"message": "Welcome to MemOS"}), UNCLEAR),
    ("cloud", says(b""), UNCLEAR),
    ("cloud", says(b"", 202), UNCLEAR),
    ("self-hosted", says({"code": 200, "message": "Memory added successfully", "data": []}), NOTHING),
    ("self-hosted", says({"code": 200, "message": "Memory added successfully", "data": None}), UNCLEAR),
    ("self-hosted", says({"code": 200, "message": "ok", "data": {}}), UNCLEAR),
    ("self-hosted", says({"code": 200, "message": "ok", "data": {"success": False}}), NOTHING),
    ("self-hosted", says({"code": 200, "message": "ok", "data": {"status": "failed"}}), NOTHING),
    ("self-hosted", says({"code": 200, "message": "ok", "data": [None]}), UNCLEAR),
    ("self-hosted", says({"code": 200, "message": "ok", "data": [[]]}), UNCLEAR),
    ("self-hosted", says({"code": 200, "message": "ok"}), UNCLEAR),
    ("self-hosted", says({"status": "healthy", "service": "memos"}), UNCLEAR),
    ("self-hosted", says(b""), UNCLEAR),
    ("self-hosted", says(b"", 202), UNCLEAR),
]


@pytest.mark.parametrize("async_mode", [True, False], ids=["asynchronous", "synchronous"])
@pytest.mark.parametrize(
    ("api", "play", "kind"),
    [pytest.param(*row, id=f"{number}-{row[0]}") for number, row in enumerate(NOT_STORED)],
)
def test_nothing_stored_is_an_error(
    plugin: PluginProcess, api: str, play: Play, kind: str, async_mode: bool
) -> None:
    with FaultyServer(play) as server:
        done = call(plugin, "add_memory", api, server.url, async_mode=async_mode)
    assert done.error
    assert done.error.error_type == kind
    assert server.host in done.error.message
    assert done.messages == []
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("data", [{"success": False}, {"status": "failed"}])
@pytest.mark.parametrize("api", API_ROOTS)
def test_failed_search_is_not_nothing_found(plugin: PluginProcess, api: str, data: dict[str, Any]) -> None:
    with FaultyServer(says(cloud(data | {"memory_detail_list": [], "text_mem": []}))) as server:
        done = call(plugin, "search_memory", api, server.url)
    assert done.error
    assert done.error.error_type == NOTHING
    assert done.messages == []


def test_servers_own_words_for_a_failure_are_kept(plugin: PluginProcess) -> None:
    reply = {"code": 0, "message": "The project is read only", "data": {"success": False}}
    with FaultyServer(says(reply)) as server:
        done = call(plugin, "add_memory", "cloud", server.url)
    assert done.error
    assert "The project is read only" in done.error.message


@pytest.mark.parametrize("async_mode", [True, False], ids=["asynchronous", "synchronous"])
def test_cloud_that_still_works_on_it_is_not_done(plugin: PluginProcess, async_mode: bool) -> None:
    with FaultyServer(healthy) as server:  # which says "running", whatever it was asked for
        done = call(plugin, "add_memory", "cloud", server.url, async_mode=async_mode)
    assert done.error is None
    assert done.variables["status"] == "running"
    assert done.json[0]["data"]["status"] == "running"
    assert "still processing" in done.text


def test_own_server_that_still_works_on_it_is_not_done(plugin: PluginProcess) -> None:
    with FaultyServer(healthy) as server:
        later = call(plugin, "add_memory", "self-hosted", server.url)
        now = call(plugin, "add_memory", "self-hosted", server.url, async_mode=False)
    assert (later.variables["status"], later.variables["memory_ids"]) == ("running", [])
    assert (now.variables["status"], now.variables["memory_ids"]) == ("completed", ["m1"])
    assert "still processing" in later.text
    assert "still processing" not in now.text


@pytest.mark.parametrize("api", API_ROOTS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"user_messages": "\0"},
        {"user_messages": " \0 ", "ai_messages": "\0\0"},
        {"user_messages": "", "messages": [{"role": "user", "content": "\0"}]},
    ],
)
def test_nul_alone_is_no_message(plugin: PluginProcess, api: str, parameters: dict[str, Any]) -> None:
    with FaultyServer(healthy) as server:
        done = call(plugin, "add_memory", api, server.url, **parameters)
    assert done.error
    assert done.error.error_type == "MemosInputError"
    assert server.connections == 0


@pytest.mark.parametrize("api", API_ROOTS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"user_messages": "I eat\0 no meat.\0", "ai_messages": "\0"},
        {"user_messages": "", "messages": [{"role": "user", "content": "I eat\0 no meat."}]},
        {"user_messages": "", "messages": r'[{"role": "user", "content": "I eat\u0000 no meat."}]'},
    ],
)
def test_nul_in_a_message_is_dropped(plugin: PluginProcess, api: str, parameters: dict[str, Any]) -> None:
    """MemOS's own server answers 200 to a NUL character, and stores nothing."""
    others = {"tags": "a\0b,\0", "info": json.dumps({"na\0me": "va\0lue", "list": ["o\0ne"]})}
    with FaultyServer(healthy) as server:
        done = call(plugin, "add_memory", api, server.url, **others, **parameters)
    assert done.error is None
    [arrival] = server.arrivals
    assert b"\\u0000" not in arrival.body
    assert b"\0" not in arrival.body
    assert [message["content"] for message in arrival.json["messages"]] == ["I eat no meat."]
    assert done.variables["message_count"] == 1


@pytest.mark.parametrize("api", API_ROOTS)
def test_nul_in_a_query_is_dropped(plugin: PluginProcess, api: str) -> None:
    with FaultyServer(healthy) as server:
        call(plugin, "search_memory", api, server.url, query="What\0 food?")
        nothing = call(plugin, "search_memory", api, server.url, query="\0")
    assert [arrival.json["query"] for arrival in server.arrivals] == ["What food?"]
    assert nothing.error
    assert nothing.error.message == "query: needed."


@pytest.mark.parametrize("api", API_ROOTS)
@pytest.mark.parametrize("name", ["user_id", "conversation_id", "agent_id", "app_id"])
def test_nul_in_an_identity_is_refused(plugin: PluginProcess, api: str, name: str) -> None:
    """Two identities that differ in nothing else must not become one."""
    with FaultyServer(healthy) as server:
        done = call(plugin, "add_memory", api, server.url, **{name: "user\0-1"})
    assert done.error
    assert done.error.error_type == "MemosInputError"
    assert done.error.message.startswith(f"{name}: ")
    assert server.connections == 0
