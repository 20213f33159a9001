"""Behind a proxy: what goes through it, and that its refusals are told as the proxy's."""

import base64
import ssl
from collections.abc import Iterator
from functools import partial

import pytest

from sandbox.plugin_process import Invocation, PluginProcess
from tests.faults.conftest import API_ROOTS, CALLS, TOOLS, Start, call, together
from tests.faults.faulty_server import FaultyServer, Play, Wire, good_reply, healthy, http
from tests.faults.wire_faults import HTML, KEY, NO_ANSWER, STORED, hangs_up, says, sends, waits

LOGIN = "proxy-user:proxy-canary-81"
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
SQUID = {"Server": "squid/6.6", "X-Squid-Error": "ERR_ACCESS_DENIED 0"}


def behind(proxy: str) -> dict[str, str]:
    """An environment that names a proxy."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return dict.fromkeys(names, proxy) | {"NO_PROXY": "", "no_proxy": ""}


def proxy_to(server: FaultyServer) -> Play:
    """A proxy that wants a login: tunnels lead to `server`, and plain requests are answered in its place."""

    def play(wire: Wire) -> None:
        arrival = wire.request()
        login = arrival.headers.get("Proxy-Authorization", " ").split(" ")[1]
        if base64.b64decode(login).decode() != LOGIN:
            wire.send(http(HTML, 407, {"Proxy-Authenticate": 'Basic realm="proxy"'}))
        elif "://" in arrival.path:
            wire.send(http(good_reply(arrival)))
        else:
            wire.send(OPEN)
            wire.tunnel(server.server_address)

    return play


@pytest.fixture(scope="module")
def memos(certificates: dict[str, ssl.SSLContext]) -> Iterator[FaultyServer]:
    with FaultyServer(healthy, certificates["good"]) as server:
        yield server


@pytest.fixture(scope="module")
def proxied(start: Start) -> Iterator[tuple[PluginProcess, FaultyServer]]:
    """A plugin whose environment names a proxy with its login, and that proxy."""
    with FaultyServer(healthy) as proxy:
        with start(behind(proxy.url.replace("//", f"//{LOGIN}@"))) as plugin:
            yield plugin, proxy
        assert b"proxy-canary-81" not in plugin.stdout + plugin.stderr


@pytest.mark.parametrize(("tool", "api"), CALLS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_calls_go_through_the_proxy(
    proxied: tuple[PluginProcess, FaultyServer], memos: FaultyServer, scheme: str, tool: str, api: str
) -> None:
    plugin, proxy = proxied
    proxy.play = proxy_to(memos)
    before = len(memos.arrivals)
    assert call(plugin, tool, api, f"{scheme}://memos.test").error is None
    seen = proxy.arrivals[-1]
    [arrival] = memos.arrivals[before:] or [seen]
    assert API_ROOTS[api] in arrival.path
    assert arrival.headers["Host"] == "memos.test"
    if scheme == "https":
        assert "Authorization" not in seen.headers
        assert "Proxy-Authorization" not in arrival.headers


@pytest.mark.parametrize("tool", TOOLS)
def test_proxy_that_wants_a_login_is_named(start: Start, memos: FaultyServer, tool: str) -> None:
    with FaultyServer(proxy_to(memos)) as proxy, start(behind(proxy.url)) as stranger:
        plain = call(stranger, tool, "cloud", "http://memos.test")
        tunnel = call(stranger, tool, "cloud", "https://memos.test")
    assert len(proxy.arrivals) == 2
    check_is_a_proxys(plain, "A proxy on the way to MemOS at memos.test refused the request (407 ")
    check_is_a_proxys(tunnel, "No answer from MemOS at memos.test (the proxy on the way answered 407). ")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("key", "status", "headers", "named"),
    [
        ("", 403, SQUID, True),
        ("", 403, {}, True),
        ("Token mpg-canary-5a17", 403, SQUID, True),
        ("Token mpg-canary-5a17", 503, {"Server": "squid"}, True),
        ("Token mpg-canary-5a17", 403, {}, False),
    ],
)
def test_refusal_is_told_as_the_proxys(
    proxied: tuple[PluginProcess, FaultyServer],
    tool: str,
    key: str,
    status: int,
    headers: dict[str, str],
    named: bool,
) -> None:
    plugin, proxy = proxied
    proxy.play = says(HTML, status, headers)
    known = {"memos_url": "http://memos.test", "memos_api_key": key}
    done = plugin.invoke(tool, TOOLS[tool], known, user_id="user-1")
    if named:
        check_is_a_proxys(done, f"A proxy on the way to MemOS at memos.test refused the request ({status} ")
    else:
        assert done.error
        assert done.error.error_type == KEY
        assert "gateway" in done.error.message


def check_is_a_proxys(done: Invocation, start: str) -> None:
    assert done.error
    assert done.error.error_type == NO_ANSWER
    assert done.error.message.startswith(start)
    assert STORED not in done.error.message
    assert "Check the API key" not in done.error.message


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
    check_is_a_proxys(refused, "No answer from MemOS at memos.test (TLS certificate not trusted)")


TUNNELS: dict[str, Play] = {
    "refused with 403": says(status=403),
    "refused with 502": says(status=502),
    "dropped": sends(),
    "reset": sends(then=Wire.reset),
    "never opened": sends(then=waits),
    "dropped amid the TLS handshake": sends(OPEN, then=hangs_up(Wire.close)),
    "reset amid the TLS handshake": sends(OPEN, then=hangs_up(Wire.reset)),
    "silent amid the TLS handshake": sends(OPEN, then=waits),
}


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_broken_tunnel_is_no_connection(proxied: tuple[PluginProcess, FaultyServer], tunnel: str) -> None:
    plugin, proxy = proxied
    proxy.play = TUNNELS[tunnel]
    proxy.arrivals.clear()

    def fail(tool: str) -> None:
        host = f"{tool.partition('_')[0]}.memos.test"
        check_is_a_proxys(call(plugin, tool, "cloud", f"https://{host}"), f"No answer from MemOS at {host} (")
        assert 1 <= [arrival.path for arrival in proxy.arrivals].count(f"{host}:443") <= 3

    together(*(partial(fail, tool) for tool in TOOLS))
