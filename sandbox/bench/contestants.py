"""Who is measured: this plugin, what it is compared with, and the limit of the wire."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from sandbox.bench.helper import Helper
from sandbox.bench.pipes import Broken, Call, PluginUnderTest, Run, serve_at_once
from sandbox.bench.plugins import EMPTY, FRESH_CONNECTION, SAME_MESSAGES, TOOL, write_plugin
from sandbox.bench.replies import USUAL, Counts
from sandbox.plugin_process import REPOSITORY

PLUGIN = "this plugin"
FRESH = "fresh connection"
NOTHING = "empty tool"
MESSAGES = "same messages"
BARE = "bare client"

_QUERY = "Where does the user like to eat?"
_KEY = "mpg-bench"
# One text, one JSON object, and five variables.
_MESSAGES_OF_A_SEARCH = 7


def search(url: str, counts: Counts = USUAL, key: str = _KEY) -> Call:
    """Search Memory, asked for as many memories as `counts` says."""
    facts, preferences, tools, skills = counts
    parameters = {
        "query": _QUERY,
        "memory_limit_number": max(facts, 1),
        "preference_limit_number": max(preferences, 1),
        "include_tool_memory": tools > 0,
        "tool_memory_limit_number": max(tools, 1),
        "include_skill": skills > 0,
        "skill_limit_number": max(skills, 1),
    }
    return Call("search_memory", parameters, _credentials(url, key), _MESSAGES_OF_A_SEARCH)


def same_messages(url: str, counts: Counts = USUAL) -> Call:  # noqa: ARG001 - it goes nowhere
    """The messages of such a search, without a search."""
    return Call(TOOL, {"counts": _name(counts)}, {}, _MESSAGES_OF_A_SEARCH)


def fresh_search(url: str, counts: Counts = USUAL) -> Call:  # noqa: ARG001 - the URL decides
    """A search over a connection of its own."""
    return Call(TOOL, {"query": _QUERY}, _credentials(url, _KEY), 1)


def nothing(url: str, counts: Counts = USUAL) -> Call:  # noqa: ARG001 - it does nothing
    """A call that does nothing."""
    return Call(TOOL, {}, {}, 1)


CALLS: dict[str, Callable[[str, Counts], Call]] = {
    PLUGIN: search,
    FRESH: fresh_search,
    NOTHING: nothing,
    MESSAGES: same_messages,
}
"""What each of the plugins is called with: its tool takes a MemOS URL and the size of the reply."""


class Plugins:
    """The plugins, ready to be started.

    Args:
        folder: Where those to compare with are written.
        certificate: Of the authority that they trust.
        url: The MemOS URL for a size of reply.
        sizes: Those sizes.
    """

    def __init__(
        self, folder: Path, certificate: Path, url: Callable[[Counts], str], sizes: Sequence[Counts]
    ) -> None:
        self._environment = {"REQUESTS_CA_BUNDLE": str(certificate)}
        self._roots = {PLUGIN: REPOSITORY}
        with self.process(PLUGIN) as plugin:
            self.messages = {counts: _recorded(plugin, url(counts), counts) for counts in sizes}
        named = {_name(counts): messages for counts, messages in self.messages.items()}
        self._roots[NOTHING] = write_plugin(folder / "empty", EMPTY)
        self._roots[FRESH] = write_plugin(folder / "fresh", FRESH_CONNECTION, "requests")
        self._roots[MESSAGES] = write_plugin(folder / "same", SAME_MESSAGES, messages=named)

    def process(self, name: str) -> PluginUnderTest:
        """A new process of one of them, to be started."""
        return PluginUnderTest(self._roots[name], environment=self._environment)


def _recorded(plugin: PluginUnderTest, url: str, counts: Counts) -> list[dict[str, Any]]:
    call = search(url, counts)
    messages = plugin.ask(call)
    variables = [message["message"] for message in messages if message["type"] == "variable"]
    found = [variable["variable_value"] for variable in variables if variable["variable_name"] == "count"]
    if len(messages) != call.messages or found != [sum(counts)]:
        raise Broken(f"a search that finds {sum(counts)} memories sent {messages}")
    return messages


class Contestant(Protocol):
    """Someone who serves calls."""

    def serve(self, url: str, calls: int, callers: int, counts: Counts = USUAL) -> Run:
        """Serve calls, of which `callers` run at once."""


class ToolContestant:
    """A plugin process."""

    def __init__(self, name: str, plugin: PluginUnderTest) -> None:
        self._call = CALLS[name]
        self._plugin = plugin

    def serve(self, url: str, calls: int, callers: int, counts: Counts = USUAL) -> Run:
        """Serve calls, of which `callers` run at once."""
        planned = [self._call(url, counts)] * calls
        if callers == 1:
            return self._plugin.serve_one_by_one(planned)
        [run] = serve_at_once([self._plugin], planned, callers)
        return run


class BareContestant:
    """`sandbox.bench.bare_client`, in its own process."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    def serve(self, url: str, calls: int, callers: int, counts: Counts = USUAL) -> Run:  # noqa: ARG002 - the URL decides
        """Serve calls, of which `callers` run at once."""
        command = {"url": url, "calls": calls, "callers": callers}
        self._helper.stdin.write(json.dumps(command).encode() + b"\n")
        self._helper.stdin.flush()
        answer = self._helper.stdout.readline()
        if not answer:
            raise Broken("the bare client died")
        return Run(**json.loads(answer))


@contextlib.contextmanager
def contestants(plugins: Plugins, certificate: Path) -> Iterator[dict[str, Contestant]]:
    """Start one process of each."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Contestant] = {
            name: ToolContestant(name, stack.enter_context(plugins.process(name))) for name in CALLS
        }
        bare = stack.enter_context(Helper("sandbox.bench.bare_client", str(certificate)))
        yield found | {BARE: BareContestant(bare)}


def _credentials(url: str, key: str) -> dict[str, str]:
    return {"memos_url": url, "memos_api_key": f"Token {key}", "deployment": "auto"}


def _name(counts: Counts) -> str:
    return "-".join(map(str, counts))
