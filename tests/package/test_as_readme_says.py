"""What README has a new user do: install the package, save credentials, import the app, and talk to it."""

import time

from sandbox.chat_model import repeat_memories
from sandbox.dify_engine import DifyApp
from sandbox.memos_server import MemosServer
from sandbox.plugin_process import PluginProcess
from tests.package.contents import Package
from tests.package.installation import Installation

PATIENCE = 60.0
"""Seconds that MemOS's own server may take to read a conversation."""


def test_the_packaged_assistant_remembers_on_a_real_memos(
    plugin: PluginProcess, installation: Installation, package: Package, memos_server: MemosServer
) -> None:
    credentials = {"memos_url": memos_server.url}
    plugin.validate(credentials)
    assistant = package.files["_assets/memory_assistant.yml"].decode()
    app = DifyApp(assistant, plugin, credentials, model=repeat_memories, root=installation.root)
    told = app.chat("I am a vegetarian.", user_id="first-user")
    assert {title: node.error for title, node in told.nodes.items() if node.error} == {}

    # Each question starts a conversation of its own.
    give_up = time.monotonic() + PATIENCE
    while "vegetarian" not in (answer := app.chat("Do I eat meat?", user_id="first-user").answer):
        assert time.monotonic() < give_up, answer
        time.sleep(0.5)
    assert "vegetarian" not in app.chat("Do I eat meat?", user_id="second-user").answer
