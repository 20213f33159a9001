"""Runs a program that ends with its parent, however the parent ends.

Usage, with a pipe as standard input: `python supervised.py [--signal S] [--user NAME] -- COMMAND ...`

The program is stopped when that pipe is closed, which the system does when the parent ends in any way, by
SIGKILL too, and on SIGTERM. Program and supervisor have sessions of their own: Ctrl-C at a terminal reaches
only the parent, which can then stop its programs in good order.
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
"""Seconds that a program has to end by itself before it and all that it started are killed."""


def main() -> int:
    """Run the program of the command line; returns its exit code, 128 + N if signal N ended it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--signal", choices=("TERM", "INT", "KILL"), default="TERM", help="stops the program")
    parser.add_argument("--user", help="runs the program as this user; only root can")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()

    # Denied to a shell's own job, for which Ctrl-C is meant.
    with contextlib.suppress(PermissionError):
        os.setsid()
    identity: dict[str, Any] = {}
    if user := arguments.user:
        identity = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    # Before there is a program that a signal could leave alone.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: events.put("asked to stop"))
    program = subprocess.Popen(
        arguments.command, stdin=subprocess.DEVNULL, start_new_session=True, **identity
    )

    def wait_for_parent() -> None:
        os.read(sys.stdin.fileno(), 1)
        events.put("parent ended")

    def wait_for_program() -> None:
        program.wait()
        events.put("program ended")

    for wait in (wait_for_parent, wait_for_program):
        threading.Thread(target=wait, daemon=True).start()
    if events.get() != "program ended":
        program.send_signal(signal.Signals[f"SIG{arguments.signal}"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(GRACE)
    # The group outlives its first process: a program that was killed may leave others behind.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    code = program.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
