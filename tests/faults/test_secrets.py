"""The key shows nowhere, not even where a server shows it; and what can't be a key or a URL is refused."""

import json
from collections.abc import Callable

import pytest

from sandbox.plugin_process import CredentialsRefused, Invocation, PluginProcess
from tests.faults.conftest import API_ROOTS, CALLS, CANARY, TOOLS, Outcomes, call, credentials, traces
from tests.faults.faulty_server import FaultyServer, Play, Wire, head, healthy, http
from tests.faults.wire_faults import CHUNKED, INPUT, REPLY

type Echo = Callable[[str], bytes]


def test_nothing_that_the_plugin_wrote_shows_the_key(plugin: PluginProcess, outcomes: Outcomes) -> None:
    written = plugin.stdout + plugin.stderr
    assert written.count(b'"traceback"') > len(outcomes) / 2
    assert not [form for form in traces(CANARY) if form in written]


def _refusal(message: str, status: int = 401, code: int = 40132) -> bytes:
    return http({"code": code, "message": message, "data": None}, status)


def _line(text: str) -> bytes:
    return f"{text}\r\n".encode()


# Where a server may show the `Authorization` header that it got.
ECHOES: dict[str, Echo] = {
    "message": lambda key: _refusal(f"Invalid API key: {key}"),
    "message of an unknown code": lambda key: _refusal(f"No: {key}", 200, 7),
    "message of a status": lambda key: http({"message": key}, 403),
    "message of a failure": lambda key: http({"code": 0, "message": key, "data": {"success": False}}),
    "message with escapes": lambda key: http(
        ('{"code": 40132, "message": "' + "".join(f"\\u{ord(c):04x}" for c in key) + '"}').encode(), 401
    ),
    "message, cut short": lambda key: _refusal("x" * 280 + f" {key}"),
    "message, twice": lambda key: _refusal(f"{key}{key}"),
    "detail": lambda key: http({"detail": f"Unknown key {key}"}, 401),
    "list of details": lambda key: http({"detail": [{"loc": ["header", key], "msg": key}]}, 422),
    "data": lambda key: http({"code": 40132, "message": "", "data": {"key": key}}, 401),
    "code": lambda key: http({"code": key, "message": "No"}),
    "HTML": lambda key: http(f"<html>{key}</html>".encode(), 502),
    "text": lambda key: http(key.encode()),
    "redirect": lambda key: head(302, {"Location": f"https://memos.example/?key={key}", "Content-Length": 0}),
    "challenge": lambda key: head(401, {"WWW-Authenticate": key, "Content-Length": 0}),
    "cookie": lambda key: http({}, headers={"Set-Cookie": f"key={key}"}),
    "status line": lambda key: _line(f"HTTP/1.1 401 {key}") + _line("Content-Length: 0") + _line(""),
    "line that is no status": lambda key: _line(f"{key} HTTP/1.1"),
    "status that is no number": lambda key: _line(f"HTTP/1.1 {key} OK"),
    "line that is no header": lambda key: (
        head(200)[:-2] + _line(key) + _line("Content-Length: 2") + b"\r\n{}"
    ),
    "header of a strange name": lambda key: head(200, {f"({key})": "x", "Content-Length": 2}) + b"{}",
    "length": lambda key: head(200, {"Content-Length": key}) + b"{}",
    "two lengths": lambda key: head(200, {"Content-Length": f"2\r\nContent-Length: {key}"}) + b"{}",
    "compression": lambda key: http({}, headers={"Content-Encoding": f"gzip, {key}"}),
    "size of a chunk": lambda key: CHUNKED + _line(key),
    "pause": lambda key: http({"code": 429}, 429, {"Retry-After": key}),
}


@pytest.mark.parametrize("place", ECHOES)
@pytest.mark.parametrize(("tool", "api"), CALLS)
def test_key_that_the_server_shows_is_not_passed_on(
    plugin: PluginProcess, tool: str, api: str, place: str
) -> None:
    with FaultyServer(_echo(ECHOES[place])) as server:
        done = call(plugin, tool, api, server.url)
    assert server.arrivals[0].headers["Authorization"] == f"Token {CANARY}"
    assert done.error
    assert not [form for form in traces(CANARY) if form in _written(done)]


@pytest.mark.parametrize("place", ["message", "redirect", "line that is no header"])
@pytest.mark.parametrize("api", API_ROOTS)
def test_validation_does_not_pass_the_key_on(plugin: PluginProcess, api: str, place: str) -> None:
    with FaultyServer(_echo(ECHOES[place])) as server, pytest.raises(CredentialsRefused) as refused:
        plugin.validate(credentials(server.url, api))
    error = refused.value.error
    assert not [form for form in traces(CANARY) if form in f"{error.message} {error.args}".encode()]


def _echo(write: Echo) -> Play:
    def play(wire: Wire) -> None:
        wire.send(write(wire.request().headers["Authorization"]))
        wire.close()

    return play


def _written(done: Invocation) -> bytes:
    error = [done.error.message, dict(done.error.args)] if done.error else []
    return json.dumps([done.messages, error], ensure_ascii=False).encode()


MARK = "never-show-me-4d"
NONE = {
    "memos_api_key": {
        "NUL": f"Token mpg-{MARK}\0x",
        "CR LF and a header": f"Token mpg-{MARK}\r\nX-Injected: yes",
        "escape": f"mpg-{MARK}\x1b[31m",
        "Chinese": f"Token mpg-{MARK}密钥",
        "1 MB": f"mpg-{MARK}" + "x" * 1_000_000,
    },
    "memos_url": {
        "CR LF and a header": "{url}\r\nX-Injected: yes/" + MARK,
        "NUL": "{url}/\0" + MARK,
        "1 MB": "{url}/" + MARK + "x" * 1_000_000,
        "1 MB of host": f"http://{MARK}{'x' * 1_000_000}/",
        "user and password": f"http://user:{MARK}@127.0.0.1",
        "key in the query": "{url}/?key=" + MARK,
        "another scheme": f"file:///etc/{MARK}",
        "half an address": f"http://[::1/{MARK}",
        "port that is none": f"http://127.0.0.1:{MARK}/",
    },
}


@pytest.mark.parametrize("api", API_ROOTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{what}")
        for name, values in NONE.items()
        for what, value in values.items()
    ],
)
def test_what_can_be_no_key_or_url_is_refused_unseen(
    plugin: PluginProcess, api: str, name: str, value: str
) -> None:
    with FaultyServer(healthy) as server:
        known = credentials(server.url, api) | {name: value.replace("{url}", server.url)}
        errors = [plugin.invoke(tool, TOOLS[tool], known, user_id="user-1").error for tool in TOOLS]
        with pytest.raises(CredentialsRefused) as refused:
            plugin.validate(known)
    assert server.connections == 0
    assert [error.error_type for error in errors if error] == [INPUT, INPUT]
    for error in [*errors, refused.value.error]:
        assert error
        assert error.message == refused.value.error.message
        assert error.message.startswith(f"{name}: ")
        assert len(error.message) < 300
        assert MARK not in f"{error.message} {error.args}"


@pytest.mark.parametrize("tool", TOOLS)
def test_path_of_the_url_is_not_shown(plugin: PluginProcess, tool: str) -> None:
    with FaultyServer(lambda wire: (wire.request(), wire.send(http(b"", 404)))) as server:
        done = plugin.invoke(
            tool,
            TOOLS[tool],
            {"memos_url": f"{server.url}/{MARK}/openmem/v1", "memos_api_key": f"Token {CANARY}"},
            user_id="user-1",
        )
    assert len(server.arrivals) == 1
    assert done.error
    assert done.error.error_type == REPLY
    assert MARK not in done.error.message
