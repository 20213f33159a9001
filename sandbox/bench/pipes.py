"""Drives plugin processes over their pipes with as little work of its own as possible.

`sandbox.plugin_process` reads every message as Dify does, which takes longer than what is measured here.
"""

import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from sandbox.plugin_process import INHERITED, PROVIDER, REPOSITORY

if TYPE_CHECKING:
    from io import BufferedReader

STUCK_AFTER = 120.0
"""Seconds after which a run that is not over counts as stuck."""

_CHUNK = 1 << 20
_HEAD = b'{"event":"session","session_id":"'
_TYPE = b'","data":{"type":"'
# Sessions have names of their own in every run: what a broken one left behind is nobody's.
_runs = itertools.count()


class Broken(Exception):  # noqa: N818 - what happened, not a kind of error
    """Measuring itself broke: a process died, or a call failed or sent too few or too many messages."""


@dataclass(frozen=True)
class Call:
    """What a tool is called with, and how many messages it sends."""

    tool: str
    parameters: Mapping[str, Any]
    credentials: Mapping[str, Any]
    messages: int

    def line(self, session_id: str) -> bytes:
        """The line that Dify's daemon writes for it."""
        request = {
            "session_id": session_id,
            "conversation_id": "conversation-1",
            "message_id": None,
            "app_id": "app-1",
            "endpoint_id": None,
            "context": {},
            "event": "request",
            "data": {
                "user_id": "user-1",
                "type": "tool",
                "action": "invoke_tool",
                "provider": PROVIDER,
                "tool": self.tool,
                "credentials": self.credentials,
                "credential_type": "api-key",
                "tool_parameters": self.parameters,
            },
        }
        return json.dumps(request, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class Run:
    """What calls took, in seconds: all of them, and each."""

    wall: float
    seconds: list[float]


class PluginUnderTest:
    """A plugin process for the time of a `with` block.

    Args:
        root: The folder of the plugin.
        environment: Variables for the plugin, on top of those that it inherits.
    """

    def __init__(self, root: Path = REPOSITORY, *, environment: Mapping[str, str] | None = None) -> None:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        # Nothing that is measured here is anywhere else.
        no_proxy = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        self.root = root
        self._environment = inherited | no_proxy | {"INSTALL_METHOD": "local"} | dict(environment or {})

    def __enter__(self) -> Self:
        """Start the plugin, and wait for its first heartbeat."""
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "main"],
            cwd=self.root,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.stdin = cast("IO[bytes]", self._process.stdin).fileno()
        self.stdout = cast("BufferedReader", self._process.stdout)
        with contextlib.ExitStack() as on_failure, self.watched():
            on_failure.callback(self._stop)
            if not any(b'"event":"heartbeat"' in line for line in self.stdout):
                raise Broken(f"the plugin in {self.root} did not start")
            on_failure.pop_all()
        self.start_seconds = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.kill()
        self._process.__exit__(None, None, None)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Kill the process if the block takes too long, so that whoever reads from it finds its end."""
        watchdog = threading.Timer(STUCK_AFTER, self._process.kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()

    @property
    def resident(self) -> float:
        """Memory that the process holds, in MiB."""
        return self._status("VmRSS:")

    @property
    def most_resident(self) -> float:
        """The most memory that the process ever held, in MiB."""
        return self._status("VmHWM:")

    def _status(self, name: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text().split()
        return int(status[status.index(name) + 1]) / 1024

    @property
    def processor_seconds(self) -> float:
        """Processor time that the process used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, call: Call) -> list[dict[str, Any]]:
        """Call a tool once and return its messages, so that one can see what is measured.

        Raises:
            Broken: The call failed.
        """
        os.write(self.stdin, call.line("asked"))
        messages = []
        with self.watched():
            for line in self.stdout:
                match json.loads(line.strip() or b"{}"):
                    case {"event": "session", "data": {"type": "stream", "data": message}}:
                        messages.append(message)
                    case {"event": "session", "data": {"type": "end"}}:
                        return messages
                    case {"event": "session", "data": error}:
                        raise Broken(f"{call.tool} failed: {error}")
        raise Broken(f"the plugin in {self.root} died")

    def serve_one_by_one(self, calls: Sequence[Call]) -> Run:
        """Let the plugin serve calls one after another.

        Raises:
            Broken: The process died, or a call failed or sent too few or too many messages.
        """
        session_id = f"run-{next(_runs)}"
        lines = [call.line(session_id) for call in calls]
        head = _HEAD + session_id.encode() + _TYPE
        streams, ends = head + b"stream", head + b"end"
        seconds = []
        with self.watched():
            began = time.perf_counter()
            for call, line in zip(calls, lines, strict=True):
                started = time.perf_counter()
                os.write(self.stdin, line)
                messages, answer = 0, b""
                # What reads lines here is C: Python code, woken for each part of one, would disturb the rest.
                for answer in self.stdout:
                    if answer.startswith(streams):
                        messages += 1
                    elif answer.startswith(head):
                        break
                seconds.append(time.perf_counter() - started)
                if messages != call.messages or not answer.startswith(ends):
                    raise Broken(f"{call.tool} sent {messages} messages, then: {answer[:2000].decode()}")
            return Run(time.perf_counter() - began, seconds)


def serve_at_once(plugins: Sequence[PluginUnderTest], calls: Sequence[Call], callers: int) -> list[Run]:
    """Let each of the plugins, side by side, serve all of the calls.

    Args:
        plugins: The processes.
        calls: What each of them is called with.
        callers: How many calls to one process run at once; each that ends makes room for the next.

    Raises:
        Broken: A process died, or a call failed or sent too few or too many messages.
    """
    lanes = {plugin.stdout.fileno(): _Lane(plugin, calls) for plugin in plugins}
    poll = select.poll()
    for number in lanes:
        poll.register(number, select.POLLIN)
    with contextlib.ExitStack() as stack:
        for plugin in plugins:
            stack.enter_context(plugin.watched())
        began = time.perf_counter()
        for lane in lanes.values():
            lane.begin(callers)
        while not all(lane.over for lane in lanes.values()):
            # Where a pipe is full, its reader is asked again after a millisecond.
            full = [lane for lane in lanes.values() if not lane.write()]
            for number, _ in poll.poll(1 if full else None):
                lanes[number].receive()
    return [Run(lane.ended - began, lane.seconds) for lane in lanes.values()]


class _Lane:
    """The calls of one process."""

    def __init__(self, plugin: PluginUnderTest, calls: Sequence[Call]) -> None:
        self.seconds: list[float] = []
        self.ended = 0.0
        self._plugin = plugin
        names = [f"run-{next(_runs)}" for _ in calls]
        self._waiting = [
            (name.encode(), call, call.line(name)) for name, call in zip(names, calls, strict=True)
        ]
        # The last is taken first.
        self._waiting.reverse()
        self._running: dict[bytes, tuple[float, Call]] = {}
        self._messages = dict.fromkeys((name.encode() for name in names), 0)
        self._outgoing = b""
        self._unfinished = b""

    @property
    def over(self) -> bool:
        return not self._waiting and not self._running

    def begin(self, count: int) -> None:
        started = time.perf_counter()
        for _ in range(min(count, len(self._waiting))):
            name, call, line = self._waiting.pop()
            self._running[name] = (started, call)
            self._outgoing += line

    def write(self) -> bool:
        """Write what fits into the pipe, and tell whether that was all."""
        if not self._outgoing:
            return True
        os.set_blocking(self._plugin.stdin, False)
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                self._outgoing = self._outgoing[os.write(self._plugin.stdin, self._outgoing) :]
        os.set_blocking(self._plugin.stdin, True)
        return not self._outgoing

    def receive(self) -> None:
        data = self._plugin.stdout.read1(_CHUNK)
        if not data:
            raise Broken("a plugin died")
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            if line.startswith(_HEAD):
                name, _, rest = line[len(_HEAD) :].partition(_TYPE)
                if name not in self._running:
                    continue
                if rest.startswith(b"stream"):
                    self._messages[name] += 1
                else:
                    self._end(name, rest)

    def _end(self, name: bytes, rest: bytes) -> None:
        started, call = self._running.pop(name)
        self.ended = time.perf_counter()
        self.seconds.append(self.ended - started)
        if self._messages[name] != call.messages or not rest.startswith(b"end"):
            raise Broken(f"{call.tool} sent {self._messages[name]} messages, then: {rest[:2000].decode()}")
        self.begin(1)
