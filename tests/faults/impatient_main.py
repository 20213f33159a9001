"""Starts the plugin as `main.py` does, but with time limits short enough for tests: those in IMPATIENCE.

What the plugin looks up and connects to is noted on stderr: refused connections leave no other trace.
"""

import json
import os
import runpy
import sys

import dify_plugin  # noqa: F401 - lets gevent replace sockets before the client imports them

from memos_client import client, connections

limits = json.loads(os.environ["IMPATIENCE"])
client.CONNECT_SECONDS = connections.CONNECT_SECONDS = limits.pop("CONNECT_SECONDS")
for name, patience in limits.items():
    setattr(client, name, connections.Patience(**patience))
client.MemosClient.search.__defaults__ = (client.SEARCH,)


def note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        os.write(2, f"connect {arguments[1]}\n".encode())
    elif event == "socket.getaddrinfo":
        os.write(2, f"look up {arguments[0]}\n".encode())


sys.addaudithook(note)
runpy.run_module("plugin_main", run_name="__main__")
