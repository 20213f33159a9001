"""A supervised program ends with its parent, and leaves nothing behind."""

import os
import signal
import subprocess
import sys

import pytest

from sandbox import supervised

SUPERVISED = [sys.executable, supervised.__file__]
IMPATIENT = "import sys; from sandbox import supervised; supervised.GRACE = 0.1; sys.exit(supervised.main())"
PARENT = "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).wait()"

# Nobody waits a minute for them; if one is not stopped, it says so.
SLEEPER = ["--", "sh", "-c", "trap 'exit 3' INT; echo started; sleep 60 & wait; echo survived"]
STUBBORN = ["--", "sh", "-c", "trap '' TERM; echo started; sleep 60; echo survived"]
FORGETFUL = ["--", "sh", "-c", "(sleep 60; echo survived) & echo started; exit 7"]


def start(*command: str) -> subprocess.Popen[str]:
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


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ([*SUPERVISED, *SLEEPER], 128 + signal.SIGTERM),
        ([*SUPERVISED, "--signal", "INT", *SLEEPER], 3),
        ([sys.executable, "-c", IMPATIENT, *STUBBORN], 128 + signal.SIGKILL),
    ],
    ids=["SIGTERM", "the signal of its choice", "no signal that it heeds"],
)
@pytest.mark.parametrize("how", ["its input is closed", "it gets SIGTERM"])
def test_the_program_is_stopped_when(how: str, command: list[str], code: int) -> None:
    process = start(*command)
    assert process.stdin
    process.stdin.close() if how == "its input is closed" else process.terminate()
    assert rest_of_output(process) == ""
    assert process.returncode == code


def test_the_program_is_stopped_when_its_parent_is_killed() -> None:
    parent = start(sys.executable, "-c", PARENT, *SUPERVISED, *SLEEPER)
    parent.kill()
    assert rest_of_output(parent) == ""


def test_the_exit_code_is_passed_on_and_what_is_left_behind_is_killed() -> None:
    process = start(*SUPERVISED, *FORGETFUL)
    assert (rest_of_output(process), process.returncode) == ("", 7)


def test_supervisor_and_program_have_sessions_of_their_own_which_ctrl_c_does_not_reach() -> None:
    code = "import os; print('started'); print(os.getsid(0), os.getsid(os.getppid()))"
    sessions = rest_of_output(start(*SUPERVISED, "--", sys.executable, "-c", code)).split()
    assert len({*sessions, str(os.getsid(0))}) == 3
