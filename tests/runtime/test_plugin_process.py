"""The driver treats a plugin as Dify's daemon does; shown with a sample plugin whose one tool obeys `do`."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.dify_schema import LINE_LIMIT, DifyRejects
from sandbox.plugin_process import CredentialsRefused, Invocation, PluginDied, PluginProcess

SAMPLE = {
    "_assets/icon.svg": "<svg/>",
    "manifest.yaml": """
        version: 0.0.1
        type: plugin
        author: tests
        name: sample
        label: {en_US: Sample}
        description: {en_US: A plugin that does as it is told}
        icon: icon.svg
        resource: {memory: 1048576, permission: {tool: {enabled: true}}}
        plugins: {tools: [provider/memos.yaml]}
        meta:
          version: 0.0.1
          arch: [amd64, arm64]
          runner: {language: python, version: "3.12", entrypoint: main}
        created_at: 2026-01-01T00:00:00Z
        """,
    "main.py": """
        from dify_plugin import DifyPluginEnv, Plugin

        if __name__ == "__main__":
            Plugin(DifyPluginEnv()).run()
        """,
    "provider/memos.yaml": """
        identity:
          author: tests
          name: memos
          label: {en_US: Sample}
          description: {en_US: Sample}
          icon: icon.svg
        credentials_for_provider:
          key: {type: text-input, label: {en_US: Key}}
        tools: [tools/sample.yaml]
        extra: {python: {source: provider/memos.py}}
        """,
    "provider/memos.py": """
        import sys

        from dify_plugin import ToolProvider
        from dify_plugin.errors.tool import ToolProviderCredentialValidationError

        class SampleProvider(ToolProvider):
            def _validate_credentials(self, credentials):
                if credentials["key"] == "noise":
                    sys.stdout.write("hello")
                elif credentials["key"] != "good":
                    raise ToolProviderCredentialValidationError(f"no such key: {credentials['key']}")
        """,
    "tools/sample.yaml": """
        identity: {author: tests, name: sample, label: {en_US: Sample}}
        description: {human: {en_US: Sample}, llm: Sample}
        extra: {python: {source: tools/sample.py}}
        """,
    "tools/sample.py": """
        import os
        import sys
        import threading
        import time

        from dify_plugin import Tool

        all_here = threading.Barrier(20)

        class SampleTool(Tool):
            def _invoke(self, parameters):
                yield from getattr(self, parameters.pop("do"))(**parameters)

            def show(self, **parameters):
                yield self.create_text_message(repr(parameters))
                yield self.create_json_message({
                    "user_id": self.runtime.user_id,
                    "conversation_id": self.session.conversation_id,
                    "app_id": self.session.app_id,
                    "credentials": self.runtime.credentials,
                    "environment": dict(os.environ),
                    "pid": os.getpid(),
                    "folder": os.getcwd(),
                })

            def send(self, messages):
                for kind, arguments in messages:
                    yield getattr(self, f"create_{kind}_message")(*arguments)

            def send_numbers(self):
                yield self.create_json_message({"whole": 2.0, "half": 0.5, "many": 10**20})

            def send_lost_digits(self):
                yield self.create_variable_message("id", 2**53 + 1)

            def send_long_line(self, length):
                yield self.create_text_message("x" * length)

            def fail(self):
                yield self.create_text_message("so far")
                raise LookupError("not <found>")

            def write(self, stdout, stderr):
                sys.stdout.write(stdout)
                sys.stderr.write(stderr)
                yield self.create_text_message("written")

            def meet(self, number):
                all_here.wait(30)
                yield self.create_text_message(str(number))

            def sleep(self, seconds):
                time.sleep(seconds)
                yield self.create_text_message("awake")

            def exit(self):
                print("about to end", file=sys.stderr, flush=True)
                os._exit(7)
        """,
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample")
    for name, content in SAMPLE.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(textwrap.dedent(content))
    return root


@pytest.fixture(scope="module")
def plugin(sample: Path) -> Iterator[PluginProcess]:
    with PluginProcess(sample, environment={"EXTRA": "yes"}) as process:
        yield process
    assert process.stray_lines == []


def call(plugin: PluginProcess, do: str, *, timeout: float = 60, **parameters: Any) -> Invocation:
    return plugin.invoke("sample", {"do": do, **parameters}, {}, user_id="user", timeout=timeout)


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_call_carries_user_conversation_app_and_credentials(plugin: PluginProcess, sample: Path) -> None:
    shown = plugin.invoke(
        "sample",
        {"do": "show", "query": "ünï"},
        {"key": "secret"},
        user_id="ada",
        conversation_id="talk",
        app_id="app",
    )
    session = shown.json[0]

    assert shown.error is None
    assert shown.text == "{'query': 'ünï'}"
    assert [message["type"] for message in shown.messages] == ["text", "json"]
    assert (session["user_id"], session["conversation_id"], session["app_id"]) == ("ada", "talk", "app")
    assert session["credentials"] == {"key": "secret"}
    assert session["folder"] == str(sample)
    assert shown.seconds > 0
    assert b'"key":"secret"' in plugin.stdout


def test_absent_user_is_an_empty_string_and_absent_conversation_none(plugin: PluginProcess) -> None:
    session = plugin.invoke("sample", {"do": "show"}, {}, user_id=None).json[0]

    assert (session["user_id"], session["conversation_id"], session["app_id"]) == ("", None, None)


def test_environment_is_that_of_the_daemon(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TZ", "UTC")
    with PluginProcess(sample, environment={"TZ": "Asia/Tokyo"}) as plugin:
        environment = call(plugin, "show").json[0]["environment"]

    assert environment["INSTALL_METHOD"] == "local"
    assert environment["NO_PROXY"] == "127.0.0.1"
    assert environment["TZ"] == "Asia/Tokyo"
    assert "PYTHONPATH" not in environment


def test_numbers_and_surrogates_arrive_as_go_writes_them(plugin: PluginProcess) -> None:
    shown = call(
        plugin, "show", whole=[1.0, -0.0], half=0.5, lost=2**53 + 1, huge=1e21, yes=True, text="\ud800"
    )

    expected = {"whole": [1, 0], "half": 0.5, "lost": 2**53, "huge": 1e21, "yes": True, "text": "\ufffd"}
    assert shown.text == repr(expected)


def test_numbers_return_as_go_writes_them(plugin: PluginProcess) -> None:
    sent = call(plugin, "send_numbers")

    assert repr(sent.json) == repr([{"whole": 2, "half": 0.5, "many": 10**20}])


def test_number_that_go_would_change_fails_the_call(plugin: PluginProcess) -> None:
    with pytest.raises(DifyRejects, match="9007199254740993 loses digits"):
        call(plugin, "send_lost_digits")


def test_outputs_are_those_of_a_workflow_node(plugin: PluginProcess) -> None:
    messages = [
        ["text", ["a"]],
        ["text", ["b"]],
        ["json", [{}]],
        ["json", [[1]]],
        ["json", [{"n": None}]],
        ["variable", ["count", 1]],
        ["variable", ["count", 2]],
        ["stream_variable", ["said", "hel"]],
        ["stream_variable", ["said", "lo"]],
    ]
    sent = call(plugin, "send", messages=messages)

    assert sent.text == "ab"
    assert sent.json == [[1], {"n": None}]
    assert sent.variables == {"count": 2, "said": "hello"}
    assert call(plugin, "send", messages=[]).json == [{"data": []}]


@pytest.mark.parametrize(("name", "value"), [("text", "x"), ("found", None)])
def test_message_that_dify_rejects_fails_the_call(plugin: PluginProcess, name: str, value: Any) -> None:
    with pytest.raises(DifyRejects, match=name):
        call(plugin, "send", messages=[["text", ["before"]], ["variable", [name, value]]])


def test_exception_ends_the_call_and_keeps_what_was_sent(plugin: PluginProcess) -> None:
    failed = call(plugin, "fail")

    assert failed.text == "so far"
    assert failed.error is not None
    assert (failed.error.error_type, failed.error.message) == ("LookupError", "not <found>")
    assert "tools/sample.py" in failed.error.args["traceback"]


def test_unknown_tool_is_an_error(plugin: PluginProcess) -> None:
    failed = plugin.invoke("other", {}, {}, user_id="user")

    assert failed.error is not None
    assert "Tool `other` not found" in failed.error.message


def test_good_credentials_are_validated(plugin: PluginProcess) -> None:
    plugin.validate({"key": "good"})


def test_bad_credentials_are_refused_in_the_words_of_the_plugin(plugin: PluginProcess) -> None:
    with pytest.raises(CredentialsRefused, match=r"^no such key: bad$") as refusal:
        plugin.validate({"key": "bad"})

    assert refusal.value.error.error_type == "ToolProviderCredentialValidationError"


def test_calls_run_side_by_side(plugin: PluginProcess) -> None:
    with ThreadPoolExecutor(20) as threads:
        met = list(threads.map(lambda number: call(plugin, "meet", number=number).text, range(20)))

    assert met == [str(number) for number in range(20)]


def test_late_answer_disturbs_no_other_call(plugin: PluginProcess) -> None:
    with pytest.raises(TimeoutError):
        call(plugin, "sleep", seconds=0.3, timeout=0.1)

    assert call(plugin, "sleep", seconds=0.5).text == "awake"


def test_line_of_words_is_stray_and_call_goes_on(sample: Path) -> None:
    with PluginProcess(sample) as plugin:
        written = call(plugin, "write", stdout="hello\n[1]\n", stderr="")

    assert written.text == "written"
    assert plugin.stray_lines == ["hello", "[1]"]
    assert b"hello\n" in plugin.stdout


def test_words_without_line_end_swallow_the_next_message(sample: Path) -> None:
    with PluginProcess(sample) as plugin:
        written = call(plugin, "write", stdout="hello", stderr="to a log\n")

    assert (written.messages, written.error) == ([], None)
    assert [line[:12] for line in plugin.stray_lines] == ['hello{"event']
    assert plugin.stderr == b"to a log\n"


def test_credentials_are_refused_if_words_swallow_the_result(sample: Path) -> None:
    with PluginProcess(sample) as plugin, pytest.raises(CredentialsRefused, match="no result"):
        plugin.validate({"key": "noise"})


def test_line_of_five_mebibytes_kills_the_plugin(sample: Path) -> None:
    with PluginProcess(sample) as plugin:
        assert len(call(plugin, "send_long_line", length=LINE_LIMIT - 1000).text) == LINE_LIMIT - 1000
        with pytest.raises(PluginDied, match="line of 5242880 bytes or more"):
            call(plugin, "send_long_line", length=LINE_LIMIT)


def test_death_of_the_process_ends_every_call(sample: Path) -> None:
    with PluginProcess(sample) as plugin, ThreadPoolExecutor(2) as threads:
        pending = threads.submit(call, plugin, "sleep", seconds=3600)
        with pytest.raises(PluginDied, match=r"exit code 7\nabout to end"):
            call(plugin, "exit")
        with pytest.raises(PluginDied, match="exit code 7"):
            pending.result()
        with pytest.raises(PluginDied, match="exit code 7"):
            call(plugin, "show")


def test_plugin_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit('no manifest')")

    with pytest.raises(PluginDied, match=r"exit code 1\nno manifest"), PluginProcess(tmp_path):
        pass


def test_process_ends_with_the_block(sample: Path) -> None:
    with contextlib.suppress(LookupError), PluginProcess(sample) as plugin:
        pid = call(plugin, "show").json[0]["pid"]
        assert not has_ended(pid)
        raise LookupError

    assert has_ended(pid)
    with pytest.raises(PluginDied):
        call(plugin, "show")


def test_process_ends_when_its_driver_is_killed(sample: Path) -> None:
    script = f"""
        import os, pathlib, signal
        from sandbox.plugin_process import PluginProcess

        with PluginProcess(pathlib.Path({str(sample)!r})) as plugin:
            print(plugin.invoke("sample", {{"do": "show"}}, {{}}, user_id="user").json[0]["pid"], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    driver = subprocess.run(  # noqa: S603 - the command is fixed
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert driver.returncode == -signal.SIGKILL, driver.stderr

    pid = int(driver.stdout)
    deadline = time.monotonic() + 60
    while not has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    if not has_ended(pid):
        os.kill(pid, signal.SIGKILL)
        pytest.fail(f"the plugin, process {pid}, outlived its driver")
