"""Starts the plugin as `main.py` does, but with some time limits of `memos_client.client` changed.

The environment variable LIMITS has them, in JSON: `{"SEARCH": [2.5, 0.7], "DELETE_SECONDS": 9}`.
"""

import json
import os
import runpy

import dify_plugin  # noqa: F401 - lets gevent replace sockets before the client imports them

from memos_client import client

for name, limit in json.loads(os.environ["LIMITS"]).items():
    setattr(client, name, client.Limits(*limit) if isinstance(limit, list) else limit)
runpy.run_module("main", run_name="__main__")
