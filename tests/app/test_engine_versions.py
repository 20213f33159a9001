"""The apps run alike in the engine of an older Dify."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox.plugin_process import REPOSITORY

OLDER = "0.7.0"
"""Of graphon; Dify 1.16 has it."""
TESTS = (
    "test_what_is_said_once_is_in_the_next_prompt",
    "test_with_memos_down_the_app_still_answers",
    "test_an_error_inside_http_200_is_an_error",
    "test_a_failed_add_is_shown_and_spoils_no_answer",
)


def older_engine() -> Path:
    """A folder with the older engine alone, made once; what it needs is that of the newer one."""
    folder = REPOSITORY / ".sandbox" / f"graphon-{OLDER}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            target = Path(scratch) / "graphon"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            command = [*pip, "--no-deps", "--target", str(target), f"graphon=={OLDER}"]
            subprocess.run(command, check=True)  # noqa: S603 - the command is fixed
            target.rename(folder)  # a stopped installation leaves none
    return folder


def test_the_apps_run_in_the_older_engine() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "cloud"]
    run = subprocess.run(  # noqa: S603 - the command is fixed
        [*command, *(f"tests/app/test_apps.py::{name}" for name in TESTS)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(older_engine())},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    assert f"graphon {OLDER}" in run.stdout
