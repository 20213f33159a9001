"""What MemOS did not store is never reported as stored, and what it has not stored yet not as done."""

from typing import Any

import pytest

from sandbox.plugin_process import PluginProcess
from tests.faults.conftest import API_ROOTS, call
from tests.faults.faulty_server import FaultyServer, Play, healthy
from tests.faults.wire_faults import HTML, REPLY, SERVER, STORED, says

by_api = pytest.mark.parametrize("api", API_ROOTS)
by_mode = pytest.mark.parametrize("async_mode", [True, False], ids=["asynchronous", "synchronous"])


def ok(data: Any) -> Play:
    """Answer with an envelope that says yes."""
    return says({"code": 0, "message": "ok", "data": data})


UNCLEAR: dict[str, list[tuple[str, Play]]] = {
    SERVER: [
        ("cloud", ok({"success": False, "task_id": "t1", "status": "running"})),
        ("cloud", ok({"success": True, "task_id": "t1", "status": "failed"})),
        ("self-hosted", ok({"success": False})),
        ("self-hosted", ok({"status": "failed"})),
        *((api, says(HTML, 504)) for api in API_ROOTS),
    ],
    REPLY: [
        *((api, play) for api in API_ROOTS for play in (ok(None), ok({}), says(b""))),
        ("cloud", ok([])),
        ("cloud", ok({"success": None})),
        ("cloud", ok({"task_id": "t1"})),
        ("self-hosted", ok([[]])),
        ("self-hosted", says({"status": "healthy", "service": "memos"})),
    ],
}


@by_mode
@pytest.mark.parametrize(
    ("kind", "api", "play"),
    [
        pytest.param(kind, *row, id=f"{kind}-{number}")
        for kind, rows in UNCLEAR.items()
        for number, row in enumerate(rows)
    ],
)
def test_reply_that_does_not_say_stored_leaves_a_doubt(
    plugin: PluginProcess, kind: str, api: str, play: Play, async_mode: bool
) -> None:
    with FaultyServer(play) as server:
        done = call(plugin, "add_memory", api, server.url, async_mode=async_mode)
    assert done.error
    assert done.error.error_type == kind
    assert server.host in done.error.message
    assert STORED in done.error.message
    assert done.messages == []
    assert len(server.arrivals) == 1


@by_mode
def test_own_server_that_stored_nothing_leaves_no_doubt(plugin: PluginProcess, async_mode: bool) -> None:
    with FaultyServer(ok([])) as server:
        done = call(plugin, "add_memory", "self-hosted", server.url, async_mode=async_mode)
    assert done.error
    assert done.error.error_type == SERVER
    assert "stored nothing" in done.error.message
    assert STORED not in done.error.message


@by_api
@pytest.mark.parametrize("status", [202, 204])
def test_empty_reply_accepts_messages_unless_it_was_waited_for(
    plugin: PluginProcess, api: str, status: int
) -> None:
    with FaultyServer(says(status=status)) as server:
        accepted = call(plugin, "add_memory", api, server.url)
        waited = call(plugin, "add_memory", api, server.url, async_mode=False)
    assert accepted.error is None
    assert accepted.variables["status"] == "running"
    assert waited.error
    assert waited.error.error_type == REPLY
    assert f"(empty).{STORED}" in waited.error.message


@by_api
@pytest.mark.parametrize("data", [{"success": False}, {"status": "failed"}])
def test_failed_search_is_not_nothing_found(plugin: PluginProcess, api: str, data: dict[str, Any]) -> None:
    with FaultyServer(ok(data | {"memory_detail_list": [], "text_mem": []})) as server:
        done = call(plugin, "search_memory", api, server.url)
    assert done.error
    assert done.error.error_type == SERVER
    assert done.messages == []


def test_servers_own_words_for_a_failure_are_kept(plugin: PluginProcess) -> None:
    reply = {"code": 0, "message": "The project is read only", "data": {"success": False}}
    with FaultyServer(says(reply)) as server:
        done = call(plugin, "add_memory", "cloud", server.url)
    assert done.error
    assert "The project is read only" in done.error.message


@by_mode
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


@by_api
def test_nul_is_not_sent(plugin: PluginProcess, api: str) -> None:
    """MemOS's own server answers 200 to a NUL character, and stores nothing."""
    with FaultyServer(healthy) as server:
        added = call(plugin, "add_memory", api, server.url, user_messages="I eat\0 no meat.", labels="fo\0od")
        found = call(plugin, "search_memory", api, server.url, query="What\0 food?")
    assert [added.error, found.error] == [None, None]
    assert not [arrival for arrival in server.arrivals if b"\\u0000" in arrival.body]
    assert server.arrivals[0].json["messages"][0]["content"] == "I eat no meat."
    assert server.arrivals[1].json["query"] == "What food?"
