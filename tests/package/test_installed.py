"""The installed package runs, by remote debugging and serverless; test_stdio.py has the third way."""

import gzip
import json
import re
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sandbox.plugin_process import PluginProcess
from sandbox.ports import reserved_port
from sandbox.scripted_server import Answer, ScriptedServer
from tests.package.contents import Package
from tests.package.installation import Installation
from tests.package.tool_declaration import GOLDEN, KEY, Introduction, introduction

SERVERLESS_START = 20.0
"""Seconds that the Marketplace waits for a serverless plugin."""


@pytest.fixture(scope="module")
def told(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Introduction:
    """What remote debugging shows of the plugin."""
    return introduction(installation, tmp_path_factory.mktemp("debugging") / "log")


def test_remote_debugging_shows_the_manifest_and_every_asset(told: Introduction, package: Package) -> None:
    shown = ("version", "author", "name", "icon", "label", "description", "repo")
    shipped = {path: content for path, content in package.files.items() if path.startswith("_assets/")}

    assert told.key == KEY
    assert {key: told.manifest[key] for key in shown} == {key: package.manifest[key] for key in shown}
    assert {f"_assets/{name}": content for name, content in told.assets.items()} == shipped


def test_remote_debugging_shows_the_tools_of_tool_declaration_json(told: Introduction) -> None:
    """Where a change is meant, renew the file: `.venv/bin/python -m tests.package.tool_declaration`."""
    assert told.tools == json.loads(GOLDEN.read_text())


def test_serverless_plugin_answers_in_time(installation: Installation, tmp_path: Path) -> None:
    found = {"data": {"memory_detail_list": [{"memory_value": "The user eats no meat."}]}}
    log = tmp_path / "log"
    environment = {"INSTALL_METHOD": "serverless", "SERVERLESS_HOST": "127.0.0.1"}
    with (
        reserved_port() as port,
        ScriptedServer(Answer(found)) as memos,
        installation.running(log, environment | {"SERVERLESS_PORT": str(port)}) as process,
    ):
        wait_for(process, port)
        assert "Serving Flask app" in log.read_text()
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/invoke", search(memos.url), {"Content-Type": "application/json"})
        frames = connection.getresponse().read().decode().splitlines()
        connection.close()

    *streamed, end = (json.loads(frame)["data"] for frame in frames if frame.strip())
    assert end["type"] == "end"
    assert {frame["type"] for frame in streamed} == {"stream"}
    assert "The user eats no meat." in streamed[0]["data"]["message"]["text"]


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a serverless plugin answers, as long as the Marketplace waits."""
    deadline = time.monotonic() + SERVERLESS_START
    while process.poll() is None and time.monotonic() < deadline:
        connection = HTTPConnection("127.0.0.1", port, timeout=SERVERLESS_START)
        try:
            connection.request("GET", "/")
            assert connection.getresponse().status in {200, 404}
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    pytest.fail("no answer")


def search(url: str) -> str:
    """A call of Search Memory, for a MemOS at `url`, as the one request of its session."""
    call = {
        "type": "tool",
        "action": "invoke_tool",
        "provider": "memos",
        "tool": "search_memory",
        "user_id": "ada",
        "credentials": {"memos_url": f"{url}/api/openmem/v1", "memos_api_key": "Token mpg-test"},
        "credential_type": "api-key",
        "tool_parameters": {"query": "food?"},
    }
    return json.dumps({"session_id": "session", "event": "request", "data": call})


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
