"""Starts the plugin as `main.py` does, but with time limits that no slow machine exceeds under load."""

import runpy

import dify_plugin  # noqa: F401 - lets gevent replace sockets before the client imports them

from memos_client import client
from memos_client.transport import Limits

for name in ("SEARCH", "ADD"):
    setattr(client, name, Limits(total=300, connect=300))
runpy.run_module("main", run_name="__main__")
