"""A plugin process under load: many calls at once or in a row, and what the process holds meanwhile."""

import gzip
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from sandbox.plugin_process import REPOSITORY, Invocation, PluginProcess
from sandbox.scripted_server import Answer, Request, ScriptedServer

MIB = 1024 * 1024
KIB = 1024
MEMORY_LIMIT = int(yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())["resource"]["memory"])
"""Bytes that the manifest promises to get by with."""

MOST_AT_ONCE = 1000
"""Calls that the SDK serves at once (MAX_WORKER of dify_plugin/config/config.py)."""

APIS = ("openmem/v1", "product")
TOOLS: dict[str, dict[str, Any]] = {
    "search_memory": {"query": "food", "memory_limit_number": 25},
    "add_memory": {"user_messages": "I eat no meat."},
}
SEARCH = ("search_memory",)

type Reply = Callable[[Request], Answer]

_PIECE = b'{"code": 0, "data": "' + b"x" * (64 * KIB - 21)
_CHUNK = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE)
TOO_LARGE = {
    "declared": Answer([_PIECE] * 1024, headers={"Content-Length": str(64 * MIB)}),
    "chunked": Answer([*[_CHUNK] * 1024, b"0\r\n\r\n"], headers={"Transfer-Encoding": "chunked"}),
    "compressed": Answer(gzip.compress(_PIECE * 1024), headers={"Content-Encoding": "gzip"}),
}
"""Replies of 64 MiB, by how they come."""


def usual(request: Request) -> Answer:
    """What MemOS replies to a call of either tool in either API."""
    return _reply(request, ["The user eats no meat."])


def held_back(request: Request) -> Answer:
    """A reply of 200 KiB whose last byte comes late, so that many of them are there at the same time."""
    content = json.dumps(_reply(request, [f"{number} {'x' * 8000}" for number in range(25)]).body).encode()

    def pieces() -> Iterator[bytes]:
        yield content[:-1]
        time.sleep(2)
        yield content[-1:]

    return Answer(pieces(), headers={"Content-Length": str(len(content))})


def _reply(request: Request, texts: Sequence[str]) -> Answer:
    data: Any
    match request.path.rpartition("/")[2]:
        case "memory":
            data = {"memory_detail_list": [{"id": text[:9], "memory_value": text} for text in texts]}
        case "message":
            data = {"success": True, "task_id": "t1", "status": "running"}
        case "search":
            memories = [{"id": text[:9], "memory": text} for text in texts]
            data = {"text_mem": [{"cube_id": "c1", "memories": memories}]}
        case _:
            data = [{"memory_id": text[:9], "memory": text} for text in texts]
    return Answer({"code": 200, "message": "ok", "data": data})


def together(number: int, reply: Reply) -> Reply:
    """Answer none of the first `number` requests before all of them are there."""
    barrier, numbers = threading.Barrier(number, timeout=300), count()

    def wait(request: Request) -> Answer:
        if next(numbers) < number:
            barrier.wait()
        return reply(request)

    return wait


class Load:
    """A running plugin, and a MemOS that answers as `reply` says; `loaded` makes one."""

    def __init__(self, plugin: PluginProcess) -> None:
        self.plugin = plugin
        self.reply: Reply = usual
        self.server = ScriptedServer(lambda request: self.reply(request))  # noqa: PLW0108 - that of the moment
        self._process = Path("/proc", str(plugin._process.pid))

    @property
    def memory(self) -> int:
        """Bytes of memory that the plugin holds now."""
        return self._status("VmRSS")

    @property
    def most_memory(self) -> int:
        """Bytes of memory that the plugin held at most."""
        return self._status("VmHWM")

    @property
    def descriptors(self) -> int:
        """How many files and connections the plugin has open."""
        return sum(1 for _ in (self._process / "fd").iterdir())

    def _status(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith(name)]
        return int(line.split()[1]) * KIB

    def call(
        self, tool: str = "search_memory", url: str = "", user: str = "user-1", **parameters: Any
    ) -> Invocation:
        """Call a tool, by default on this MemOS's cloud API."""
        credentials = {"memos_url": url or f"{self.server.url}/{APIS[0]}", "memos_api_key": "Token mpg-test"}
        return self.plugin.invoke(tool, TOOLS[tool] | parameters, credentials, user_id=user, timeout=300)

    def at_once(self, number: int, tools: Sequence[str] = tuple(TOOLS)) -> list[Invocation]:
        """Call so many times at once, the tools in turn and in both of MemOS's APIs."""
        kinds = islice(cycle((tool, api) for tool in tools for api in APIS), number)
        with ThreadPoolExecutor(number) as threads:
            running = [threads.submit(self.call, tool, f"{self.server.url}/{api}") for tool, api in kinds]
        return [call.result() for call in running]

    def in_a_row(self, number: int, samples: int) -> list["Sample"]:
        """Call so many times, one call after the other, every tenth of them in vain; look now and then."""
        kinds = cycle((tool, api) for tool in TOOLS for api in APIS)
        refused = cycle(TOO_LARGE.values())
        taken = [Sample(0, self.memory, self.descriptors)]
        for done, (tool, api) in enumerate(islice(kinds, number), start=1):
            in_vain = done % 10 == 5  # no sample is taken right after one
            answer = next(refused)
            self.reply = (lambda _, answer=answer: answer) if in_vain else usual
            error = self.call(tool, f"{self.server.url}/{api}", f"user-{done}").error
            assert (error is not None) == in_vain, f"call {done}: {error}"
            if done % (number // samples) == 0:
                taken.append(Sample(done, self.memory, self.descriptors))
                self.server.requests.clear()
        return taken


@contextmanager
def loaded() -> Iterator[Load]:
    """Start a plugin and a MemOS for the time of a block."""
    usual_limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Enough for any machine: what is measured here is not time.
    limits = json.dumps({"SEARCH": [300, 300], "ADD": [300, 300]})
    with PluginProcess(main="tests.main_with_limits", environment={"LIMITS": limits}) as plugin:
        load = Load(plugin)
        # Not before: the plugin has to do with the usual limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        try:
            with load.server:
                yield load
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (usual_limit, most))


@dataclass(frozen=True)
class Sample:
    """What the plugin holds after so many calls: bytes of memory, files and connections."""

    calls: int
    memory: int
    descriptors: int


def growth(curve: Sequence[Sample]) -> float:
    """Bytes of memory that a call leaves behind: the slope from the curve's middle third to its last.

    The first third is left out: caches and pools fill up there. A third counts by its median.
    """
    third = len(curve) // 3
    middle, last = curve[third:-third], curve[-third:]
    calls = median(sample.calls for sample in last) - median(sample.calls for sample in middle)
    return (median(sample.memory for sample in last) - median(sample.memory for sample in middle)) / calls
