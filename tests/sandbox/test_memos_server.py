"""MemOS's own server starts, can be told how its model answers, and leaves nothing behind."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from sandbox import memos_server
from sandbox.memos_server import MemosServer, SandboxError
from sandbox.plugin_process import REPOSITORY


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


def test_preferences_are_kept_apart_from_facts_and_questions_are_neither(memos_server: MemosServer) -> None:
    message = {"role": "user", "content": "I prefer short answers. My dog is called Rex. What should I cook?"}
    body = {"user_id": "cyd", "messages": [message], "async_mode": "sync", "custom_tags": ["leisure"]}
    requests.post(f"{memos_server.url}/product/add", json=body, timeout=60).raise_for_status()
    body = {"user_id": "cyd", "query": "dog", "relativity": 0}
    found = requests.post(f"{memos_server.url}/product/search", json=body, timeout=60).json()["data"]

    [fact], [preference] = (found[kind][0]["memories"] for kind in ("text_mem", "pref_mem"))
    assert (fact["memory"], fact["metadata"]["tags"]) == ("The user said: My dog is called Rex.", ["leisure"])
    assert preference["metadata"]["preference"] == "The user said: I prefer short answers."


def test_a_part_that_fails_shows_the_end_of_its_log_and_nothing_is_left_after_the_block() -> None:
    with MemosServer() as server:
        server.stop("postgres")
        (server.folder / "pgdata" / "postgresql.conf").unlink()
        with pytest.raises(SandboxError, match=r"(?s)Starting postgres failed: exit code .*postgresql\.conf"):
            server.start("postgres")
        assert len(processes_in(server.folder)) >= len(("supervisor", "part")) * len(("model", "memos"))
    assert processes_in(server.folder) == []
    assert not server.folder.exists()


def test_no_process_is_left_after_sigkill() -> None:
    command = [sys.executable, "-m", "sandbox.memos_server"]
    with subprocess.Popen(  # noqa: S603 - its arguments are written out here
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        [folder] = re.findall(r"\S*/memos-sandbox-\w+", process.stdout.readline())
        assert process.stdout.readline().startswith("MEMOS_URL=http://127.0.0.1:")
        assert processes_in(folder) != []
        process.kill()
    give_up = time.monotonic() + 60
    while processes_in(folder):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_another_python_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memos_server, "_PYTHON", (3, 99))
    with pytest.raises(SandboxError, match=r"^MemOS's server needs Python 3\.99 here"), MemosServer(tmp_path):
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
    failure = r"(?s)^Installing MemOS's server failed: .*missing\.whl"
    with pytest.raises(SandboxError, match=failure), MemosServer(tmp_path):
        pass
    assert python.read_bytes() != b"cut off"
