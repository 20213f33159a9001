"""The installed package runs, by remote debugging and serverless; test_stdio.py has the third way.

All tests run twice: with the newest versions that `requirements.txt` allows, and with the lowest.
"""

import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import Answer, ScriptedServer
from tests.package.contents import Package
from tests.package.debugging_server import DebuggingServer
from tests.package.installation import Installation, lower_bound, requirements
from tests.package.tool_declaration import GOLDEN, KEY, introduction, remote

SERVERLESS_START = 20.0
"""Seconds that the Marketplace waits for a serverless plugin."""

SEARCH = {
    "type": "tool",
    "action": "invoke_tool",
    "provider": "memos",
    "tool": "search_memory",
    "user_id": "ada",
    "credential_type": "api-key",
    "tool_parameters": {"query": "food?"},
}


@pytest.fixture
def memos() -> Iterator[ScriptedServer]:
    found = {"data": {"memory_detail_list": [{"memory_value": "The user eats no meat."}]}}
    with ScriptedServer(Answer(found)) as server:
        yield server


def search(memos: ScriptedServer) -> dict[str, Any]:
    url = f"{memos.url}/api/openmem/v1"
    return SEARCH | {"credentials": {"memos_url": url, "memos_api_key": "Token mpg-test"}}


def variables(frames: list[dict[str, Any]]) -> dict[str, Any]:
    assert {frame["type"] for frame in frames} == {"stream"}
    contents = (frame["data"]["message"] for frame in frames if frame["data"]["type"] == "variable")
    return {content["variable_name"]: content["variable_value"] for content in contents}


def test_what_is_installed_is_what_the_requirements_allow(installation: Installation) -> None:
    wanted = requirements((installation.root / "requirements.txt").read_text())
    script = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
    names = [needed.name for needed in wanted]
    told = subprocess.check_output([installation.python, "-c", script, *names], text=True).split()  # noqa: S603

    check = [sys.executable, "-m", "pip", "--python", installation.python, "check"]
    checked = subprocess.run(check, check=False, capture_output=True, text=True)  # noqa: S603
    assert checked.returncode == 0, checked.stdout
    for needed, version in zip(wanted, told, strict=True):
        assert needed.specifier.contains(version)
        if installation.python.parents[1].name == "lowest":
            assert Version(version) == Version(lower_bound(needed))


def test_remote_debugging_shows_the_manifest_and_every_asset(
    installation: Installation, package: Package, log: Path
) -> None:
    told = introduction(installation, log)

    assert told.key == KEY
    for key in ("version", "author", "name", "icon", "label", "description", "repo"):
        assert told.manifest[key] == package.manifest[key]
    shipped = {path: content for path, content in package.files.items() if path.startswith("_assets/")}
    assert {f"_assets/{name}": content for name, content in told.assets.items()} == shipped


def test_remote_debugging_shows_the_tools_of_tool_declaration_json(
    installation: Installation, log: Path
) -> None:
    """Where a change is meant, renew the file: `.venv/bin/python -m tests.package.tool_declaration`."""
    known = json.loads(GOLDEN.read_text())

    assert list(differences(introduction(installation, log).tools, known)) == []


def differences(told: Any, known: Any, place: str = "") -> Iterator[str]:
    """Say where `told` is not as `known`; it may have more keys, since a newer SDK declares more."""
    if isinstance(told, dict) and isinstance(known, dict):
        for key, value in known.items():
            yield from differences(told.get(key, "nothing"), value, f"{place}.{key}")
    elif isinstance(told, list) and isinstance(known, list) and len(told) == len(known):
        for index, pair in enumerate(zip(told, known, strict=True)):
            yield from differences(*pair, f"{place}[{index}]")
    elif told != known:
        yield f"{place}: {told!r}, not {known!r}"


def test_remote_debugging_serves_a_call(installation: Installation, memos: ScriptedServer, log: Path) -> None:
    with DebuggingServer() as server, installation.running(log, remote(server)):
        server.meet()
        frames = server.request(search(memos))

    assert "The user eats no meat." in variables(frames)["memory_context"]


def test_reply_that_unpacks_to_more_than_the_memory_of_the_plugin_is_not_unpacked(
    plugin: PluginProcess, package: Package
) -> None:
    """What bounds urllib3 from below: 2.6.0 and 2.6.1 unpack the whole of a reply in one chunk."""
    memory = package.manifest["resource"]["memory"]
    packed = gzip.compress(bytes(memory), compresslevel=1)
    headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    with ScriptedServer(Answer(b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed), headers=headers)) as server:
        credentials = {"memos_url": server.url, "memos_api_key": ""}
        done = plugin.invoke("search_memory", {"query": "food?"}, credentials, user_id="ada")

    assert done.error
    assert "(too large)" in done.error.message
    status = Path(f"/proc/{plugin._process.pid}/status").read_text()
    [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert int(peak) * 1024 < memory


def test_serverless_plugin_answers_in_time(
    installation: Installation, memos: ScriptedServer, log: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host, port = free.getsockname()
    environment = {"INSTALL_METHOD": "serverless", "SERVERLESS_HOST": host, "SERVERLESS_PORT": str(port)}
    frame = {"session_id": "session", "event": "request", "data": search(memos)}
    with installation.running(log, environment) as process:
        assert first_answer(process, host, port, log) in {200, 404}
        assert "Serving Flask app" in log.read_text()
        status, body = ask(host, port, "POST", "/invoke", json.dumps(frame))

    frames = [json.loads(line)["data"] for line in body.splitlines() if line.strip()]
    assert (status, frames.pop()["type"]) == (200, "end")
    assert "The user eats no meat." in variables(frames)["memory_context"]


def first_answer(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> int:
    deadline = time.monotonic() + SERVERLESS_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return ask(host, port, "GET", "/")[0]
        except ConnectionRefusedError:
            time.sleep(0.05)
    pytest.fail(f"no answer within {SERVERLESS_START:g} s: {log.read_text()}")


def ask(host: str, port: int, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
