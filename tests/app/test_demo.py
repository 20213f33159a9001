"""The demo shows on a MemOS server what it promises, and fails with a sentence."""

import os
import re
import subprocess
import sys

from sandbox.demo import QUESTION, TOLD
from sandbox.memos_server import MemosServer
from sandbox.plugin_process import REPOSITORY
from sandbox.scripted_server import ScriptedServer

HEADING = re.compile(r"^.+\n-+\n", re.MULTILINE)


def demo(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox.demo"],
        cwd=REPOSITORY,
        env=os.environ | {"MEMOS_URL": url, "MEMOS_API_KEY": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_shows_what_it_promises(memos_server: MemosServer) -> None:
    shown = demo(memos_server.url)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    _, validated, told, recalled, other, _ = HEADING.split(shown.stdout)[1:]
    assert "No answer from MemOS at 127.0.0.1:9" in validated
    assert "    accepted\n" in validated
    for message in TOLD:
        assert f"first-user: {message}\n" in told
    assert f"first-user: {QUESTION}\n" in recalled
    assert recalled.count("vegetarian") == 2, "once in the answer, once in the prompt"
    assert "</memories>" in recalled
    assert f"second-user: {QUESTION}\n" in other
    assert "vegetarian" not in other


def test_the_demo_fails_with_a_sentence() -> None:
    with ScriptedServer() as gone:
        pass
    shown = demo(gone.url)

    assert shown.returncode == 1
    assert shown.stderr.startswith("\nThe demo failed. These credentials were refused: No answer from MemOS")
    assert "Traceback" not in shown.stderr
