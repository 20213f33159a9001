"""Starts the plugin with changed time limits, and notes on stderr what it looks up and connects to.

Refused connections leave no other trace. Names that start with "slow." are looked up as slowly as if the name
server did not answer.
"""

import os
import runpy
import sys

from gevent.monkey import get_original

SLOW_LOOKUP = 6.0
really_sleep = get_original("time", "sleep")  # look-ups are made in threads of their own


def note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        os.write(2, f"connect {arguments[1]}\n".encode())
    elif event == "socket.getaddrinfo":
        os.write(2, f"look up {arguments[0]}\n".encode())
        if str(arguments[0]).startswith("slow."):
            really_sleep(SLOW_LOOKUP)


sys.addaudithook(note)
runpy.run_module("tests.main_with_limits", run_name="__main__")
