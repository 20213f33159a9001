"""Whatever happens on the wire, a call ends in time with the right error, and the next one works."""

import base64
import re
import ssl
import time
from collections.abc import Iterator
from functools import partial

import pytest

from memos_client import client, connections
from memos_client.connections import Patience
from sandbox.plugin_process import CredentialsRefused, PluginProcess
from tests.faults import wire_faults
from tests.faults.conftest import (
    API_ROOTS,
    CALLS,
    LIMITS,
    TOOLS,
    Outcomes,
    Start,
    call,
    credentials,
    place,
    together,
)
from tests.faults.faulty_server import PIECE, FaultyServer, Play, Wire, good_reply, healthy, http
from tests.faults.wire_faults import DONE, FAULTS, LARGEST_REPLY, NO_ANSWER, STORED, Fault, says, sends, waits

SLACK = 1.5
"""Seconds by which a busy machine may be late."""

SOCKETS_HOLD = 12 * 1024 * 1024
"""More bytes than the sockets of a connection hold (tcp_rmem and tcp_wmem of Linux)."""

BROKEN = {wire_faults.not_understood(what) for what in ("cut off", "too large", "broken compression")}
ADVICE = {
    "MemosConnectionError": "Check the MemOS URL, and that Dify can reach it.",
    "MemosAuthenticationError": "Check the API key in this plugin's credentials; "
    "keys of another region or project are not valid here.",
    "MemosQuotaError": "Wait, or raise the quota of your MemOS account.",
    "MemosServerError": "Try again later.",
    "MemosReplyError": "Check that the MemOS URL is an API address and that Deployment fits it.",
}
# Waiting does not mend these: they may have an advice of their own.
OWN_ADVICE = {
    f"code {code} inside HTTP 200" for code in (40303, 40305, 50103, 50104, 50105, 50107, 50120, 50123, 50131)
}
GREEDY = [fault for fault in FAULTS if fault.greedy]

by_case = pytest.mark.parametrize(
    ("fault", "tool", "api"),
    [
        pytest.param(fault, tool, api, id=f"{fault.name}-{tool}-{api}")
        for fault in FAULTS
        for tool, api in CALLS
    ],
)
by_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
by_greedy_fault = pytest.mark.parametrize("fault", GREEDY, ids=lambda fault: fault.name)


@by_case
def test_error_has_its_class_and_its_words(outcomes: Outcomes, fault: Fault, tool: str, api: str) -> None:
    outcome = outcomes[fault.name, tool, api]
    assert outcome.done, "the call did not end"
    error = outcome.done.error
    if error is None:
        assert DONE in fault.kinds
        return
    assert error.error_type in fault.kinds, error.message
    doubt = re.escape(STORED) if fault.sent and tool == "add_memory" else ""
    if error.error_type == NO_ANSWER:
        reason = re.escape(fault.fact) or "[^()]+"
        fact = rf"No answer from MemOS at {re.escape(outcome.host)} \({reason}\)\."
        fact += doubt
    else:
        fact = rf"MemOS at {re.escape(outcome.host)} {re.escape(fault.fact) or '.+'}\."
        fact += doubt if fault.fact in BROKEN else ""
    advice = re.escape(ADVICE.get(error.error_type, ""))
    if fault.name in OWN_ADVICE or not advice:
        advice = r"[A-Z].+\."
    assert re.fullmatch(f"{fact} {advice}", error.message)


@by_fault
def test_call_ends_in_time(outcomes: Outcomes, fault: Fault) -> None:
    for tool, api in CALLS:
        done = outcomes[fault.name, tool, api].done
        assert done, f"{tool} {api} did not end"
        assert done.seconds <= LIMITS[tool]["ceiling"] + SLACK


@by_fault
def test_next_call_gets_its_own_reply(outcomes: Outcomes, fault: Fault) -> None:
    for tool, api in CALLS:
        after = outcomes[fault.name, tool, api].after
        assert after.error is None
        assert "- Only user-behind knows." in after.text.splitlines()


@by_greedy_fault
def test_endless_reply_is_not_read_beyond_the_limit(outcomes: Outcomes, fault: Fault) -> None:
    for tool, api in CALLS:
        assert 0 < outcomes[fault.name, tool, api].poured <= LARGEST_REPLY + SOCKETS_HOLD


@by_greedy_fault
def test_server_that_never_pauses_keeps_no_other_call_waiting(outcomes: Outcomes, fault: Fault) -> None:
    flooded = [outcomes[fault.name, tool, api] for tool, api in CALLS]
    longest = max(outcome.done.seconds for outcome in flooded if outcome.done)
    bystanders = flooded[0].bystanders
    assert bystanders
    assert all(bystander.error is None for bystander in bystanders)
    if longest > 1:
        assert max(bystander.seconds for bystander in bystanders) < 0.8 * longest


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(outcomes: Outcomes, status: int) -> None:
    for tool, api in CALLS:
        outcome = outcomes[f"redirect {status} to another host", tool, api]
        assert outcome.connections == 1
        [arrival] = outcome.arrivals
        assert arrival.path.startswith(API_ROOTS[api])


def test_time_limits_are_those_that_users_are_told() -> None:
    assert connections.CONNECT_SECONDS == 5
    assert Patience(silence=30, ceiling=60) == client.SEARCH == client.ADD
    assert Patience(silence=120, ceiling=150) == client.SYNCHRONOUS_ADD
    assert Patience(silence=15, ceiling=15, tries=1) == client.PROBE
    assert client.LARGEST_REPLY == LARGEST_REPLY


def test_short_limits_keep_the_order_of_the_real_ones() -> None:
    pairs = (
        (wire_faults.SEARCH, client.SEARCH),
        (wire_faults.ADD, client.ADD),
        (wire_faults.SYNCHRONOUS_ADD, client.SYNCHRONOUS_ADD),
        (wire_faults.PROBE, client.PROBE),
    )
    for short, real in pairs:
        assert wire_faults.CONNECT_SECONDS < short["silence"] <= short["ceiling"]
        assert (short["silence"] == short["ceiling"]) == (real.silence == real.ceiling)
        assert short.get("tries", Patience(1, 1).tries) == real.tries


def test_synchronous_add_waits_longer(plugin: PluginProcess) -> None:
    plays = {
        "silent for 1.5 s": sends(then=waits),
        "not complete within 6 s": wire_faults.drips(wire_faults.UNSIZED, b" " * 99),
    }

    def add(reason: str, api: str) -> None:
        with FaultyServer(plays[reason]) as server:
            done = call(plugin, "add_memory", api, server.url, async_mode=False)
        assert done.error
        assert f"({reason}).{STORED}" in done.error.message
        assert len(server.arrivals) == 1

    together(*(partial(add, reason, api) for reason in plays for api in API_ROOTS))


def test_long_upload_is_no_silence(plugin: PluginProcess, certificates: dict[str, ssl.SSLContext]) -> None:
    """Longer than a silence may be, and than a connection may take, but not than the whole call."""
    length = 12 * 1024 * 1024  # more than the sockets take at once
    seconds = 1.8 * wire_faults.SYNCHRONOUS_ADD["silence"]

    def reads_slowly(wire: Wire) -> None:
        wire.send(http(good_reply(wire.request(pause=seconds * PIECE / length))))

    def upload(api: str, tls: ssl.SSLContext | None) -> None:
        with FaultyServer(reads_slowly, tls) as server:
            done = call(plugin, "add_memory", api, server.url, user_messages="x" * length, async_mode=False)
        assert done.error is None
        assert len(server.arrivals) == 1

    together(partial(upload, "cloud", None), partial(upload, "self-hosted", certificates["good"]))


@pytest.mark.parametrize(
    "name",
    [
        "connection refused",
        "TLS certificate expired",
        "closed after the request was read",
        "silence",
        "body byte by byte",
        "endless body",
        "HTML with 200",
        "redirect 302 to another host",
        "HTTP 401",
        "HTTP 429",
        "HTTP 503",
        "code 40132 inside HTTP 200",
    ],
)
def test_validation_tells_what_the_tools_tell_and_tries_once(
    plugin: PluginProcess, certificates: dict[str, ssl.SSLContext], name: str
) -> None:
    [fault] = [fault for fault in FAULTS if fault.name == name]

    def validate(api: str) -> None:
        started = time.monotonic()
        with place(fault, certificates) as server, pytest.raises(CredentialsRefused) as refused:
            plugin.validate(credentials(server.url, api))
        assert time.monotonic() - started <= wire_faults.PROBE["ceiling"] + SLACK
        error = refused.value.error
        assert error.error_type == "ToolProviderCredentialValidationError"
        assert server.host in error.message
        assert max(len(server.arrivals), server.connections) <= 1

    together(*(partial(validate, api) for api in API_ROOTS))


PROXY_LOGIN = "proxy-user:proxy-canary-81"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
TUNNELS: dict[str, Play] = {
    "refused with 403": says(status=403),
    "refused with 502": says(status=502),
    "dropped": sends(),
    "reset": sends(then=Wire.reset),
    "never opened": sends(then=waits),
    "dropped amid the TLS handshake": sends(OPEN, then=lambda wire: (wire.byte(), wire.close())),
    "reset amid the TLS handshake": sends(OPEN, then=lambda wire: (wire.byte(), wire.reset())),
    "silent amid the TLS handshake": sends(OPEN, then=waits),
}


def behind(proxy: str) -> dict[str, str]:
    """An environment that names a proxy."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return dict.fromkeys(names, proxy) | {"NO_PROXY": "", "no_proxy": ""}


@pytest.fixture(scope="module")
def proxied(start: Start) -> Iterator[tuple[PluginProcess, FaultyServer]]:
    """A plugin whose environment names a proxy, and that proxy."""
    with FaultyServer(healthy) as proxy:
        with start(behind(proxy.url.replace("//", f"//{PROXY_LOGIN}@"))) as plugin:
            yield plugin, proxy
        assert b"proxy-canary-81" not in plugin.stdout + plugin.stderr


def test_http_goes_through_the_proxy(proxied: tuple[PluginProcess, FaultyServer]) -> None:
    plugin, proxy = proxied
    proxy.play = healthy
    for tool, api in CALLS:
        done = call(plugin, tool, api, "http://memos.test")
        assert done.error is None
        arrival = proxy.arrivals[-1]
        assert arrival.path.startswith(f"http://memos.test{API_ROOTS[api]}")
        assert arrival.headers["Host"] == "memos.test"
        assert base64.b64decode(arrival.headers["Proxy-Authorization"].split()[1]).decode() == PROXY_LOGIN


def test_http_goes_through_a_proxy_that_speaks_tls(
    start: Start, certificates: dict[str, ssl.SSLContext]
) -> None:
    with (
        FaultyServer(healthy, certificates["good"]) as good,
        FaultyServer(healthy, certificates["untrusted"]) as bad,
    ):
        with start(behind(good.url)) as plugin:
            found = [call(plugin, "search_memory", "cloud", "http://memos.test") for _ in range(2)]
        with start(behind(bad.url)) as plugin:
            refused = call(plugin, "search_memory", "cloud", "http://memos.test")
    assert [done.error for done in found] == [None, None]
    assert good.connections == 1
    assert refused.error is not None
    assert refused.error.message.startswith(
        "No answer from MemOS at memos.test (TLS certificate not trusted)"
    )


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_broken_tunnel_is_no_connection(proxied: tuple[PluginProcess, FaultyServer], tunnel: str) -> None:
    plugin, proxy = proxied
    proxy.play = TUNNELS[tunnel]
    proxy.arrivals.clear()

    def fail(tool: str) -> None:
        host = f"{tool.partition('_')[0]}.memos.test"
        done = call(plugin, tool, "cloud", f"https://{host}")
        assert done.error
        assert done.error.error_type == NO_ANSWER
        assert done.error.message.startswith(f"No answer from MemOS at {host} (")
        assert STORED not in done.error.message
        assert 1 <= [arrival.path for arrival in proxy.arrivals].count(f"{host}:443") <= 3
        assert done.seconds <= LIMITS[tool]["ceiling"] + SLACK

    together(*(partial(fail, tool) for tool in TOOLS))
