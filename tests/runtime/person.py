"""A user of the plugin on MemOS's own server, as a chatflow's nodes serve them."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from sandbox.memos_server import MemosServer
from sandbox.plugin_process import Invocation, PluginProcess
from tests.runtime.memos import KEY

_LONGEST_REFINEMENT = 60.0


@dataclass(frozen=True)
class Person:
    """A user whom MemOS does not know yet, unless `user_id` names one that it does."""

    plugin: PluginProcess
    server: MemosServer
    user_id: str = field(default_factory=lambda: f"person-{uuid.uuid4()}")

    def call(self, tool: str, parameters: Mapping[str, Any], app_id: str | None = "app-1") -> Invocation:
        """Call a tool."""
        known = {"memos_url": self.server.url, "memos_api_key": KEY}
        return self.plugin.invoke(
            tool, parameters, known, user_id=self.user_id, conversation_id="c1", app_id=app_id
        )

    def say(self, text: str = "", **parameters: Any) -> Invocation:
        """Have a message of this person stored, with Add Memory's defaults for all that is not given."""
        done = self.call("add_memory", {"user_messages": text} | parameters)
        assert done.error is None, done.error
        return done

    def recall(self, query: str = "What is known?", **parameters: Any) -> Invocation:
        """Search this person's memory, with Search Memory's defaults for all that is not given."""
        done = self.call("search_memory", {"query": query} | parameters)
        assert done.error is None, done.error
        return done

    def wait_for_refinement(self) -> None:
        """Wait until MemOS's model has read all that was said; before, it is stored as it came.

        Raises:
            AssertionError: It takes too long.
        """
        wait_for(
            lambda: all("mode:fast" not in memory.get("tags", ()) for memory in self.memories()),
            "the refinement of what was said",
        )

    def memories(self) -> list[dict[str, Any]]:
        """All memories of this person, of whom there are not many."""
        return self.recall(memory_limit_number=25).variables["memories"]


def wait_for(done: Callable[[], Any], what: str) -> None:
    """Wait until `done` says so.

    Raises:
        AssertionError: It takes too long; names `what` was waited for.
    """
    end = time.monotonic() + _LONGEST_REFINEMENT
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@contextmanager
def model(server: MemosServer, **how: Any) -> Iterator[None]:
    """MemOS's model answers in another way in this block; `sandbox.model_server` lists the ways."""
    _order(server, how)
    try:
        yield
    finally:
        _order(server, {})


def wait_for_prompt(server: MemosServer, words: str) -> None:
    """Wait until MemOS has asked its model, which is held, about these words."""
    wait_for(lambda: any(words in prompt for prompt in _order(server, {"held": True})["waiting"]), words)


def unread(server: MemosServer) -> AbstractContextManager[None]:
    """No model reads what is added in this block: MemOS keeps it as it came."""
    return model(server, mode="error")


def _order(server: MemosServer, how: Mapping[str, Any]) -> Any:
    reply = requests.post(f"{server.model_url}/control", json=how, timeout=10)
    reply.raise_for_status()
    return reply.json()
