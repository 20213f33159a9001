"""The driver treats a plugin as Dify's daemon does; shown with a plugin that runs the code it is sent."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.dify_schema import LINE_LIMIT, DifyRejects
from sandbox.plugin_process import CredentialsRefused, Invocation, PluginDied, PluginProcess

# It speaks as the SDK does: an empty line behind each frame, a manifest first, then a heartbeat.
PLUGIN = r"""
import json, os, sys, threading, time

all_here = threading.Barrier(20)
writing = threading.Lock()

def write(frame):
    with writing:
        sys.stdout.write(json.dumps(frame) + "\n\n")
        sys.stdout.flush()

def serve(frame):
    def send(kind, **data):
        data = {"type": kind, "data": data}
        write({"event": "session", "session_id": frame["session_id"], "data": data})

    def message(kind, **content):
        send("stream", type=kind, message=content, meta=None)

    data = frame["data"]
    exec(data.get("tool_parameters", data["credentials"])["code"], globals() | locals())
    send("end")

write({"type": "plugin", "plugins": {}})
write({"event": "heartbeat", "session_id": None, "data": {}})
for line in sys.stdin:
    threading.Thread(target=serve, args=[json.loads(line)], daemon=True).start()
"""
SHOW = (
    "message('text', text=json.dumps({'frame': frame, 'folder': os.getcwd(), 'environment': {**os.environ}}))"
)
ANSWER = "message('text', text='answered')"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plugin")
    (root / "main.py").write_text(PLUGIN)
    return root


@pytest.fixture(scope="module")
def plugin(root: Path) -> Iterator[PluginProcess]:
    with PluginProcess(root) as process:
        yield process
    assert process.stray_lines == []


def call(plugin: PluginProcess, code: str, *, timeout: float = 60, **parameters: Any) -> Invocation:
    return plugin.invoke("tool", {"code": code, **parameters}, {}, user_id="user", timeout=timeout)


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_request_is_that_of_the_daemon(plugin: PluginProcess, root: Path) -> None:
    ids = {"conversation_id": "talk", "app_id": "app", "message_id": "message"}
    parameters = {"code": SHOW, "query": "ünï"}
    shown = json.loads(plugin.invoke("tool", parameters, {"key": "secret"}, user_id="ada", **ids).text)
    nowhere = json.loads(plugin.invoke("tool", {"code": SHOW}, {}, user_id=None).text)["frame"]

    assert shown["folder"] == str(root)
    assert len(shown["frame"].pop("session_id")) == 36
    assert shown["frame"] == {
        **ids,
        "endpoint_id": None,
        "context": {},
        "event": "request",
        "data": {
            "type": "tool",
            "action": "invoke_tool",
            "provider": "memos",
            "tool": "tool",
            "credentials": {"key": "secret"},
            "credential_type": "api-key",
            "tool_parameters": parameters,
            "user_id": "ada",
        },
    }
    assert nowhere["data"]["user_id"] == ""
    assert {nowhere[name] for name in ids} == {None}


def test_environment_is_that_of_the_daemon(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TZ", "UTC")
    with PluginProcess(root, environment={"TZ": "Asia/Tokyo"}) as plugin:
        environment = json.loads(call(plugin, SHOW).text)["environment"]
    assert has_ended(plugin._process.pid)

    assert environment["INSTALL_METHOD"] == "local"
    assert (environment["NO_PROXY"], environment["TZ"]) == ("127.0.0.1", "Asia/Tokyo")
    assert "PYTHONPATH" not in environment


def test_numbers_and_surrogates_are_those_that_go_writes(plugin: PluginProcess) -> None:
    given = {
        "whole": [1.0, -0.0],
        "half": 0.5,
        "lost": 2**53 + 1,
        "huge": 1e21,
        "yes": True,
        "text": "\ud800",
    }
    arrives = {"whole": [1, 0], "half": 0.5, "lost": 2**53, "huge": 1e21, "yes": True, "text": "\ufffd"}
    code = "message('text', text=repr(frame['data']['tool_parameters']['given']))"
    assert call(plugin, code, given=given).text == repr(arrives)

    sent = call(plugin, "message('json', json_object={'whole': 2.0, 'half': 0.5, 'many': 10**20})")
    assert repr(sent.json) == repr([{"whole": 2, "half": 0.5, "many": 10**20}])
    with pytest.raises(DifyRejects, match="9007199254740993 loses digits"):
        call(plugin, "message('json', json_object={'id': 2**53 + 1})")


def test_outputs_are_those_of_a_workflow_node(plugin: PluginProcess) -> None:
    code = """
for text in ("a", "b"):
    message("text", text=text)
for value in ({}, [1], {"n": None}):
    message("json", json_object=value)
for name, value in (("count", 1), ("count", 2), ("said", "hel"), ("said", "lo")):
    message("variable", variable_name=name, variable_value=value, stream=name == "said")
"""
    sent = call(plugin, code)

    assert sent.text == "ab"
    assert sent.json == [[1], {"n": None}]
    assert sent.variables == {"count": 2, "said": "hello"}
    assert call(plugin, "").json == [{"data": []}]


def test_error_ends_the_call_and_keeps_what_was_sent(plugin: PluginProcess) -> None:
    failure = "send('error', error_type='LookupError', message='not <found>', args={'traceback': 'File …'})"
    failed = call(plugin, f"{ANSWER}\n{failure}")

    assert failed.text == "answered"
    assert failed.error is not None
    assert (failed.error.error_type, failed.error.message) == ("LookupError", "not <found>")
    assert failed.error.args == {"traceback": "File …"}


def test_credentials_are_validated_and_refused_in_the_words_of_the_plugin(plugin: PluginProcess) -> None:
    plugin.validate({"code": "send('stream', result=True)"})
    with pytest.raises(CredentialsRefused, match=r"^no such key$") as refusal:
        plugin.validate({"code": "send('error', error_type='Wrong', message='no such key', args={})"})
    assert refusal.value.error.error_type == "Wrong"


def test_calls_run_side_by_side_and_a_late_answer_disturbs_none(plugin: PluginProcess) -> None:
    with pytest.raises(TimeoutError):
        call(plugin, f"time.sleep(0.3)\n{ANSWER}", timeout=0.1)
    meet = "all_here.wait(30)\nmessage('text', text=frame['data']['tool_parameters']['name'])"
    with ThreadPoolExecutor(20) as threads:
        met = list(threads.map(lambda number: call(plugin, meet, name=str(number)).text, range(20)))

    assert met == [str(number) for number in range(20)]
    assert call(plugin, f"time.sleep(0.5)\n{ANSWER}").text == "answered"


def test_words_on_stdout_are_stray_and_without_a_line_end_swallow_the_next_message(root: Path) -> None:
    with PluginProcess(root) as plugin:
        assert call(plugin, f"print('hello\\n[1]')\n{ANSWER}").text == "answered"
        assert plugin.stray_lines == ["hello", "[1]"]
        swallowed = call(plugin, f"print('hello', end='')\nprint('to a log', file=sys.stderr)\n{ANSWER}")
        with pytest.raises(CredentialsRefused, match="no result"):
            plugin.validate({"code": "print('hello', end='')\nsend('stream', result=True)"})

    assert (swallowed.messages, swallowed.error) == ([], None)
    assert [line[:12] for line in plugin.stray_lines[2:]] == ['hello{"event', 'hello{"event']
    assert plugin.stderr == b"to a log\n"
    assert b"hello\n[1]\n" in plugin.stdout


def test_line_of_five_mebibytes_kills_the_plugin(root: Path) -> None:
    with PluginProcess(root) as plugin:
        assert len(call(plugin, f"message('text', text='x' * {LINE_LIMIT - 1000})").text) == LINE_LIMIT - 1000
        with pytest.raises(PluginDied, match="line of 5242880 bytes or more"):
            call(plugin, f"message('text', text='x' * {LINE_LIMIT})")
        assert has_ended(plugin._process.pid)


def test_death_of_the_process_ends_every_call(root: Path) -> None:
    with PluginProcess(root) as plugin, ThreadPoolExecutor(2) as threads:
        pending = threads.submit(call, plugin, "time.sleep(3600)")
        with pytest.raises(PluginDied, match=r"exit code 7\nabout to end"):
            call(plugin, "print('about to end', file=sys.stderr, flush=True)\nos._exit(7)")
        for ended in (pending.result, lambda: call(plugin, SHOW)):
            with pytest.raises(PluginDied, match="exit code 7"):
                ended()


def test_plugin_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit('no manifest')")

    with pytest.raises(PluginDied, match=r"exit code 1\nno manifest"), PluginProcess(tmp_path):
        pass


def test_the_plugin_ends_when_its_driver_is_killed() -> None:
    script = (
        "import os, signal, sandbox.plugin_process as driver\n"
        "with driver.PluginProcess() as plugin:\n"
        "    print(plugin._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    driver = subprocess.run(  # noqa: S603 - the command is fixed
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, check=False
    )
    assert driver.returncode == -signal.SIGKILL, driver.stderr

    pid = int(driver.stdout)
    give_up = time.monotonic() + 60
    while not has_ended(pid):
        assert time.monotonic() < give_up, f"the plugin, process {pid}, outlived its driver"
        time.sleep(0.1)
