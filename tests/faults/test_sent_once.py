"""No turn is stored twice: an add is sent again only if it can't have arrived, a search once at most."""

import ssl
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from sandbox.plugin_process import PluginProcess
from tests.faults.conftest import API_ROOTS, CALLS, TOOLS, Outcomes, call, place, together
from tests.faults.faulty_server import FaultyServer, Play, Wire, good_reply, healthy, http
from tests.faults.wire_faults import FAULTS, SIZED, Fault, goes_on, hangs_up, sends, waits

by_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
by_tool = pytest.mark.parametrize("tool", TOOLS)
by_api = pytest.mark.parametrize("api", API_ROOTS)


@by_fault
def test_add_is_sent_once_or_never_arrives(outcomes: Outcomes, fault: Fault) -> None:
    for api in API_ROOTS:
        outcome = outcomes[fault.name, "add_memory", api]
        if fault.sent:
            assert outcome.sendings == 1
        else:
            assert outcome.arrivals == []
            assert outcome.connections <= 3


@by_fault
def test_search_is_sent_as_often_as_it_may_be(outcomes: Outcomes, fault: Fault) -> None:
    for api in API_ROOTS:
        outcome = outcomes[fault.name, "search_memory", api]
        if isinstance(fault.play, str):
            assert outcome.arrivals == []
        else:
            assert outcome.sendings == fault.tries


@by_tool
@by_api
@pytest.mark.parametrize("name", ["connection refused", "host name unknown"])
def test_connection_is_tried_three_times(
    plugin: PluginProcess, certificates: dict[str, ssl.SSLContext], name: str, api: str, tool: str
) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == name]
    before = len(plugin.stderr)
    with place(fault, certificates) as server:
        call(plugin, tool, api, server.url)
    tried = f"connect {server.server_address}" if name == "connection refused" else f"look up {server.host}"
    assert _noted(plugin, tried, before) == 3


@by_tool
@by_api
def test_call_gets_through_when_the_server_is_back(plugin: PluginProcess, tool: str, api: str) -> None:
    server, before = FaultyServer(healthy), len(plugin.stderr)
    with ThreadPoolExecutor() as threads:
        calling = threads.submit(call, plugin, tool, api, server.url)
        while not _noted(plugin, f"connect ('127.0.0.1', {server.server_address[1]})", before):
            assert not calling.done()
        with server:
            done = calling.result()
    assert done.error is None
    assert len(server.arrivals) == 1


def _noted(plugin: PluginProcess, what: str, before: int) -> int:
    """How often the plugin noted this on stderr behind so many bytes: earlier servers had the same ports."""
    time.sleep(0.05)  # stderr comes here by a way of its own
    return plugin.stderr.count(f"{what}\n".encode(), before)


# What a server does to a connection that it kept alive, before it closes it.
ENDS: dict[str, Callable[[Wire], object]] = {
    "closed while idle": goes_on,
    "reset while idle": lambda wire: (wire.wait(0.02), wire.reset()),
    "closed when used": Wire.byte,
    "reset when used": hangs_up(Wire.reset),
    "closed behind the request": Wire.request,
}


@by_tool
@by_api
@pytest.mark.parametrize("certificate", ["", "good"], ids=["http", "https"])
@pytest.mark.parametrize("end", ENDS)
def test_idle_connection_that_ends_fails_no_call(
    plugin: PluginProcess,
    certificates: dict[str, ssl.SSLContext],
    end: str,
    certificate: str,
    api: str,
    tool: str,
) -> None:
    def play(wire: Wire) -> None:
        healthy(wire)
        if wire.number == 0:
            ENDS[end](wire)
            wire.close()

    with FaultyServer(play, certificates.get(certificate)) as server:
        assert call(plugin, "search_memory", api, server.url, user="first").error is None
        time.sleep(0.05)
        done = call(plugin, tool, api, server.url, user="second")
    assert done.error is None
    assert tool == "add_memory" or "Only second knows." in done.text
    mine = [arrival for arrival in server.arrivals if arrival.json["user_id"] == "second"]
    assert len(mine) == 1 or (len(mine) == 2 and tool == "search_memory")


def test_many_idle_connections_that_end_fail_no_call(plugin: PluginProcess) -> None:
    """A firewall forgets all idle connections at once: a repeated search must not meet the next dead one."""
    burst = 4
    everybody_here = [True]

    def play(wire: Wire) -> None:
        arrival = wire.request()
        wire.send(http(good_reply(arrival)), pause=0.3 if everybody_here[0] else 0.6)
        if wire.number < 2 * burst:
            wire.byte()
            wire.reset()

    with FaultyServer(play) as server, ThreadPoolExecutor(2 * burst) as threads:
        together(*[partial(call, plugin, "search_memory", "cloud", server.url)] * 2 * burst)
        assert server.connections == 2 * burst
        everybody_here[0] = False
        first = [threads.submit(call, plugin, "search_memory", "cloud", server.url) for _ in range(burst)]
        time.sleep(0.05)  # less than the pause before a repetition
        second = [threads.submit(call, plugin, "search_memory", "cloud", server.url) for _ in range(burst)]
        done = [calling.result() for calling in first + second]
    assert [one.error for one in done] == [None] * len(done)


def test_server_that_closes_behind_every_reply_loses_and_doubles_nothing(plugin: PluginProcess) -> None:
    def play(wire: Wire) -> None:
        healthy(wire)
        if wire.number % 3:
            wire.close()  # without having said so: the client may be sending its next request just now

    calls = CALLS * 75
    users = [f"user-{number}" for number in range(len(calls))]
    with FaultyServer(play) as server, ThreadPoolExecutor(20) as threads:
        done = list(
            threads.map(lambda which, user: call(plugin, *which, server.url, user=user), calls, users)
        )
    assert [one.error for one in done] == [None] * len(calls)
    arrived = Counter(arrival.json["user_id"] for arrival in server.arrivals)
    for (tool, _), user in zip(calls, users, strict=True):
        assert arrived[user] == 1 or tool == "search_memory"


def test_repetition_ends_with_the_call(plugin: PluginProcess) -> None:
    """The repetition of a slow search has what is left of the call's time, not a time of its own."""

    def is_cut_off_late(wire: Wire) -> None:
        wire.request()
        wire.send(SIZED, *[b" "] * 6, pause=0.3)
        wire.close()

    def is_busy_late(wire: Wire) -> None:
        wire.request()
        wire.send(http({"code": 503}, 503), pause=2.1)

    def search(play: Play, api: str) -> float:
        with FaultyServer(play) as server:
            done = call(plugin, "search_memory", api, server.url)
        assert done.error
        assert len(server.arrivals) in {1, 2}  # one where the machine was so busy that no time was left
        return done.seconds

    plays = (sends(then=waits), is_cut_off_late, is_busy_late)
    silent, *repeated = together(*(partial(search, play, api) for play in plays for api in API_ROOTS))
    assert max(repeated) < 1.5 * silent


@by_api
def test_pause_that_the_server_asks_for_is_kept(plugin: PluginProcess, api: str) -> None:
    moments = []

    def asks_for_a_second(wire: Wire) -> None:
        arrival = wire.request()
        moments.append(time.monotonic())
        busy = http({"code": 429, "message": "Busy"}, 429, {"Retry-After": "1"})
        wire.send(busy if len(moments) == 1 else http(good_reply(arrival)))

    with FaultyServer(asks_for_a_second) as server:
        done = call(plugin, "search_memory", api, server.url)
    assert done.error is None
    first, second = moments
    assert second - first >= 1
