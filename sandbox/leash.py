"""Runs one command for as long as its parent lives: nothing stays behind, however the parent ends.

Usage, with a pipe as standard input: `python leash.py [--signal S] [--user NAME] -- COMMAND [ARGUMENT ...]`

The leash stops the command when that pipe is closed, which the system does when the parent ends in any way,
by SIGKILL too, and when it gets SIGTERM. Both run in sessions of their own: Ctrl-C at a terminal reaches only
the parent, which can then stop its programs in good order.
"""

import argparse
import contextlib
import os
import pwd
import queue
import signal
import subprocess
import sys
import threading
from typing import Any

GRACE = 10.0
"""Seconds that a command has to end by itself before it and all that it started are killed."""


def main() -> int:
    """Run the command of the command line; returns its exit code, 128 + N if signal N ended it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--signal", choices=("TERM", "INT", "KILL"), default="TERM", help="stops the command")
    parser.add_argument("--user", help="runs the command as this user; only root can")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()

    # Denied to a shell's own job, for which Ctrl-C is meant.
    with contextlib.suppress(PermissionError):
        os.setsid()
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: events.put("asked to stop"))
    command = subprocess.Popen(
        arguments.command, stdin=subprocess.DEVNULL, start_new_session=True, **_identity(arguments.user)
    )

    def wait_for_parent() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        events.put("parent ended")

    def wait_for_command() -> None:
        command.wait()
        events.put("command ended")

    for wait in (wait_for_parent, wait_for_command):
        threading.Thread(target=wait, daemon=True).start()
    if events.get() != "command ended":
        command.send_signal(signal.Signals[f"SIG{arguments.signal}"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(GRACE)
    # The group outlives its first process: a command that was killed may leave others behind.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)
    code = command.wait()
    return code if code >= 0 else 128 - code


def _identity(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


if __name__ == "__main__":
    sys.exit(main())
