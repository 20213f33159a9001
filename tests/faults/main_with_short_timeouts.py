"""Starts the plugin as `main.py` does, but with time limits short enough for tests.

What the plugin looks up and connects to is noted on stderr: refused connections leave no other trace. Names
that start with "slow." are looked up as slowly as if the name server did not answer.
"""

import os
import runpy
import sys

import dify_plugin  # noqa: F401 - lets gevent replace sockets before the client imports them
from gevent.monkey import get_original

from memos_client import client
from tests.faults.wire_faults import LIMITS

SLOW_LOOKUP = 6.0
really_sleep = get_original("time", "sleep")  # look-ups are made in threads of their own


def note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        os.write(2, f"connect {arguments[1]}\n".encode())
    elif event == "socket.getaddrinfo":
        os.write(2, f"look up {arguments[0]}\n".encode())
        if str(arguments[0]).startswith("slow."):
            really_sleep(SLOW_LOOKUP)


for name, limits in LIMITS.items():
    setattr(client, name, limits)
sys.addaudithook(note)
runpy.run_module("main", run_name="__main__")
