"""MemOS's own server starts, remembers, loses its parts and gets them back, and leaves nothing behind."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox import leash, memos_server
from sandbox.memos_server import MemosServer, SandboxError

LEASH = [sys.executable, leash.__file__]

PATIENCE = 60
"""Seconds after which a test gives up waiting, and a command that nobody stopped says so."""

SLEEPER = ["sh", "-c", f"trap 'exit 3' INT; echo started; sleep {PATIENCE} & wait; echo survived"]
STUBBORN = ["sh", "-c", f"trap '' TERM; echo started; sleep {PATIENCE}; echo survived"]
FORGETFUL = ["sh", "-c", f"(sleep {PATIENCE}; echo survived) & echo started; exit 7"]


def start(command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603 - its arguments are written out here
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    return process


def rest_of_output(process: subprocess.Popen[str]) -> str:
    """What is still written until the last process has ended that could write."""
    assert process.stdout
    with process:
        return process.stdout.read()


def test_leash_stops_its_command_when_its_input_is_closed() -> None:
    process = start([*LEASH, "--", *SLEEPER])
    assert process.stdin
    process.stdin.close()
    assert rest_of_output(process) == ""
    assert process.returncode == 128 + signal.SIGTERM


def test_leash_stops_its_command_when_its_parent_is_killed() -> None:
    code = "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).wait()"
    parent = start([sys.executable, "-c", code, *LEASH, "--", *SLEEPER])
    parent.kill()
    assert rest_of_output(parent) == ""


def test_leash_stops_its_command_on_sigterm() -> None:
    process = start([*LEASH, "--", *SLEEPER])
    process.terminate()
    assert rest_of_output(process) == ""
    assert process.returncode == 128 + signal.SIGTERM


def test_leash_stops_its_command_with_the_chosen_signal() -> None:
    process = start([*LEASH, "--signal", "INT", "--", *SLEEPER])
    process.terminate()
    assert rest_of_output(process) == ""
    assert process.returncode == 3


def test_leash_kills_a_command_that_ignores_the_signal() -> None:
    code = "import sys; from sandbox import leash; leash.GRACE = 0.1; sys.exit(leash.main())"
    process = start([sys.executable, "-c", code, "--", *STUBBORN])
    process.terminate()
    assert rest_of_output(process) == ""
    assert process.returncode == 128 + signal.SIGKILL


def test_leash_passes_on_the_exit_code_and_kills_what_is_left_behind() -> None:
    process = start([*LEASH, "--", *FORGETFUL])
    assert rest_of_output(process) == ""
    assert process.returncode == 7


def test_leash_and_command_have_sessions_of_their_own_which_ctrl_c_does_not_reach() -> None:
    process = start([*LEASH, "--", *SLEEPER])
    assert os.getsid(process.pid) == process.pid
    process.terminate()
    rest_of_output(process)
    process = start([*LEASH, "--", sys.executable, "-c", "import os; print('started'); print(os.getsid(0))"])
    assert int(rest_of_output(process)) not in {process.pid, os.getsid(0)}


@pytest.fixture(scope="module")
def server() -> Iterator[MemosServer]:
    with MemosServer() as server:
        yield server


def add(server: MemosServer, user: str, text: str, **options: Any) -> list[dict[str, Any]]:
    body = {"user_id": user, "messages": [{"role": "user", "content": text}], "async_mode": "sync"} | options
    reply = requests.post(f"{server.url}/product/add", json=body, timeout=PATIENCE)
    assert reply.status_code == 200
    memories: list[dict[str, Any]] = reply.json()["data"]
    return memories


def search(server: MemosServer, user: str, query: str, kind: str = "text_mem") -> list[dict[str, Any]]:
    body = {"user_id": user, "query": query, "relativity": 0}
    reply = requests.post(f"{server.url}/product/search", json=body, timeout=PATIENCE)
    assert reply.status_code == 200
    return [memory for cube in reply.json()["data"][kind] for memory in cube["memories"]]


def control(server: MemosServer, **setting: Any) -> None:
    requests.post(f"{server.model_url}/control", json=setting, timeout=PATIENCE).raise_for_status()


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return False


def processes_in(folder: Path | str) -> list[str]:
    """The processes that work in a folder, as the parts of a server do in theirs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str((process / "cwd").readlink()).startswith(str(folder)):
                found.append((process / "cmdline").read_text())
        except (FileNotFoundError, PermissionError):  # it has ended, or is not ours
            continue
    return found


def test_search_finds_by_meaning_what_was_added(server: MemosServer) -> None:
    add(server, "ada", "I work as a nurse. I am a vegetarian. I live in Lisbon.")
    assert search(server, "ada", "Which food suits me?")[0]["memory"] == "The user said: I am a vegetarian."
    assert search(server, "ada", "Where is my home?")[0]["memory"] == "The user said: I live in Lisbon."


def test_another_user_finds_nothing(server: MemosServer) -> None:
    add(server, "bob", "I own a red bicycle.")
    assert search(server, "eve", "red bicycle") == []


def test_preferences_are_kept_apart_from_facts_and_questions_are_neither(server: MemosServer) -> None:
    added = add(server, "cyd", "I prefer short answers. My dog is called Rex. What should I cook?")
    assert sorted((memory["memory_type"], memory["memory"]) for memory in added) == [
        ("PreferenceMemory", "The user said: I prefer short answers."),
        ("UserMemory", "The user said: My dog is called Rex."),
    ]
    (preference,) = search(server, "cyd", "answers", "pref_mem")
    assert preference["metadata"]["preference"] == "The user said: I prefer short answers."


def test_tags_and_info_come_back(server: MemosServer) -> None:
    add(server, "dan", "I own a boat.", custom_tags=["leisure"], info={"agent_id": "a1"})
    (memory,) = search(server, "dan", "boat")
    assert memory["metadata"]["tags"] == ["leisure"]
    assert memory["metadata"]["info"] == {"agent_id": "a1"}


def test_an_asynchronous_add_is_refined_in_the_background(server: MemosServer) -> None:
    (raw,) = add(server, "fay", "I own a yellow boat.", async_mode="async")
    assert raw["memory"] != "The user said: I own a yellow boat."
    assert eventually(
        lambda: (
            [m["memory"] for m in search(server, "fay", "boat")] == ["The user said: I own a yellow boat."]
        )
    )


@pytest.mark.parametrize(("mode", "stored"), [("rubbish", 0), ("error", 1)])
def test_the_language_model_can_be_made_to_fail(server: MemosServer, mode: str, stored: int) -> None:
    control(server, mode=mode)
    try:
        assert len(add(server, f"gus-{mode}", "I own a cat.")) == stored
    finally:
        control(server)
    assert len(add(server, f"gus-{mode}", "I own a dog.")) == 1


def test_the_language_model_can_be_made_slow(server: MemosServer) -> None:
    control(server, delay_seconds=1)
    body = {"model": "any", "messages": [{"role": "user", "content": "Hello!"}]}
    try:
        reply = requests.post(f"{server.model_url}/v1/chat/completions", json=body, timeout=PATIENCE)
    finally:
        control(server)
    assert reply.elapsed >= timedelta(seconds=1)


def test_the_database_can_be_stopped_and_started(server: MemosServer) -> None:
    add(server, "ida", "I own a horse.")
    server.stop("postgres")
    assert search(server, "ida", "horse") == []
    server.start("postgres")
    assert eventually(lambda: len(search(server, "ida", "horse")) == 1)


def test_memos_can_be_stopped_and_started_at_its_address(server: MemosServer) -> None:
    add(server, "joe", "I own a goat.")
    server.stop("memos")
    with pytest.raises(requests.ConnectionError):
        search(server, "joe", "goat")
    server.start("memos")
    assert len(search(server, "joe", "goat")) == 1


def test_a_part_that_fails_to_start_shows_the_end_of_its_log(server: MemosServer) -> None:
    server.stop("postgres")
    settings = server.folder / "pgdata" / "postgresql.conf"
    hidden = settings.rename(settings.with_name("hidden"))
    with pytest.raises(SandboxError, match=r"(?s)Starting postgres failed: exit code .*postgresql\.conf"):
        server.start("postgres")
    hidden.rename(settings)
    server.stop("postgres")
    server.start("postgres")


def test_nothing_is_left_after_the_block() -> None:
    with MemosServer() as server:
        assert len(processes_in(server.folder)) > len(("leash", "part")) * len(("postgres", "model", "memos"))
    assert processes_in(server.folder) == []
    assert not server.folder.exists()


def test_no_process_is_left_after_sigkill() -> None:
    command = [sys.executable, "-m", "sandbox.memos_server"]
    root = Path(memos_server.__file__).parents[1]
    with subprocess.Popen(  # noqa: S603 - its arguments are written out here
        command, cwd=root, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        (folder,) = re.findall(r"\S*/memos-sandbox-\w+", process.stdout.readline())
        assert process.stdout.readline().startswith("MEMOS_URL=http://127.0.0.1:")
        assert processes_in(folder) != []
        process.kill()
    assert eventually(lambda: processes_in(folder) == [])


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["MEMOS_MODEL_NAME"], "MEMOS_MODEL_BASE_URL and MEMOS_MODEL_API_KEY"),
        (["MEMOS_MODEL_NAME", "MEMOS_MODEL_BASE_URL"], "MEMOS_MODEL_API_KEY"),
    ],
)
def test_a_model_that_is_named_in_part_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], missing: str
) -> None:
    for name in given:
        monkeypatch.setenv(name, "x")
    with pytest.raises(SandboxError, match=f"^Set {missing} too"), MemosServer(tmp_path):
        pass


def test_another_python_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memos_server, "_PYTHON", (3, 99))
    with pytest.raises(SandboxError, match=r"^MemOS's server needs Python 3\.99 here"), MemosServer(tmp_path):
        pass


def test_a_python_without_ensurepip_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SandboxError, match="lacks the module ensurepip"), MemosServer(tmp_path):
        pass


def test_a_half_made_environment_is_made_again_and_a_failure_shows_the_end_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("cut off")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./missing.whl\n")
    monkeypatch.setattr(memos_server, "REQUIREMENTS", requirements)
    lines: list[str] = []
    with (
        pytest.raises(SandboxError, match=r"(?s)^Installing MemOS's server failed: .*missing\.whl"),
        MemosServer(tmp_path, lines.append),
    ):
        pass
    assert lines == ["Installing MemOS's server (first start only, about a minute) ..."]
    assert python.read_bytes() != b"cut off"
