"""Puts one plugin process under the load of a busy Dify, and looks whether it holds.

`python -m sandbox.soak` takes some minutes, prints what it measured, and ends with exit code 1 if a promise
broke. The tests put on the same load in smaller numbers.
"""

import asyncio
import gzip
import json
import resource
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

import yaml

from sandbox.plugin_process import REPOSITORY, Invocation, PluginProcess
from sandbox.server_process import Helper, serve, tally

MIB = 1024 * 1024
KIB = 1024
MEMORY_LIMIT = int(yaml.safe_load((REPOSITORY / "manifest.yaml").read_text())["resource"]["memory"])
"""Bytes that the manifest promises to get by with."""

MOST_AT_ONCE = 1000
"""Calls that the SDK serves at once (MAX_WORKER of dify_plugin/config/config.py)."""

POURED = 64 * MIB
"""Bytes of a reply that is far too large."""

POURS = ("declared", "chunked", "compressed")
"""The ways in which such a reply can come."""

MOST_GROWTH = 100.0
"""Bytes that a call may leave behind by the measure of `growth`: 5 MB in 50,000 calls."""

REFUSALS = ("(too large)", "leave no room")
"""What the plugin says of such a reply, the second when many come at once."""

KEY = "Token mpg-test"
TOOLS = ("search_memory", "add_memory")
APIS = ("openmem/v1", "product")
_PARAMETERS: dict[str, dict[str, Any]] = {
    "search_memory": {"query": "food", "memory_limit_number": 25},
    "add_memory": {"user_messages": "I eat no meat."},
}
_PATIENCE = 300.0


# ---- The server, in a process of its own


_STATUS = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class _Counts:
    calls = now = most = accepted = open = 0


@dataclass(frozen=True)
class _Manner:
    """How the server answers; its fields stand in the first part of a path: `/seconds=1,together=500/…`."""

    seconds: float = 0
    """How long it thinks: before its answer or, where that has a size, before the last byte of it."""
    together: int = 1
    """How many requests have to be there before it begins."""
    size: int = 0
    """About how many bytes it has to say."""
    pours: str = ""
    """`declared`, `chunked` or `compressed`: far too much, announced in this way."""

    @property
    def path(self) -> str:
        fields = {name: value for name, value in vars(self).items() if value != getattr(_Manner, name)}
        return ",".join(f"{name}={value}" for name, value in fields.items()) or "plainly"


@cache
def _read_manner(path: str) -> _Manner:
    kinds = {"seconds": float, "together": int, "size": int, "pours": str}
    pairs = [pair.partition("=") for pair in path.split("/")[1].split(",") if "=" in pair]
    values: dict[str, Any] = {name: kinds[name](value) for name, _, value in pairs}
    return _Manner(**values)


@cache
def _reply(path: str) -> bytes:
    size = _read_manner(path).size
    texts = ["The user eats no meat.", *["x" * 8000] * (size // 8000)]
    data: Any
    match path.rpartition("/")[2]:
        case "memory":
            memories = [{"id": f"m{n}", "memory_value": text} for n, text in enumerate(texts)]
            data = {"memory_detail_list": memories}
        case "message":
            data = {"success": True, "task_id": "t1", "status": "running"}
        case "search":
            memories = [{"id": f"m{n}", "memory": text} for n, text in enumerate(texts)]
            data = {"text_mem": [{"cube_id": "c1", "memories": memories}]}
        case _:
            data = [{"memory_id": f"m{n}", "memory": text} for n, text in enumerate(texts)]
    return json.dumps({"code": 200, "message": "ok", "data": data}).encode()


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    counted = False
    # Cancelled is what the end of the server does to connections that are still open.
    with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            if path == "/counts":
                writer.write(_response(json.dumps(_numbers()).encode()))
                continue
            if not counted:
                counted = True
                _Counts.accepted += 1
                _Counts.open += 1
            [length] = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
            await reader.readexactly(int(length.partition(":")[2]))
            _Counts.calls += 1
            _Counts.now += 1
            _Counts.most = max(_Counts.most, _Counts.now)
            try:
                await _answer(path, writer)
            finally:
                _Counts.now -= 1
    _Counts.open -= counted
    writer.close()
    with suppress(ConnectionError, asyncio.CancelledError):
        await writer.wait_closed()


async def _answer(path: str, writer: asyncio.StreamWriter) -> None:
    manner = _read_manner(path)
    # What pours may be asked for a second time by some, who then don't wait for the others.
    if manner.together > 1 and not (manner.pours and _Counts.calls > manner.together):
        await _barrier(manner.together).wait()
    if manner.pours:
        await _pour(manner.pours, writer)
        return
    response = _response(_reply(path))
    begun = response[:-1] if manner.size else b""
    writer.write(begun)
    await asyncio.sleep(manner.seconds)
    writer.write(response[len(begun) :])


@cache
def _barrier(number: int) -> asyncio.Barrier:
    """Lets requests pass in groups: what is to happen at once does so, however slow the machine is."""
    return asyncio.Barrier(number)


async def _pour(how: str, writer: asyncio.StreamWriter) -> None:
    piece = b'{"code": 0, "data": "' + b"x" * (64 * KIB - 21)
    match how:
        case "declared":
            head, pieces = f"Content-Length: {POURED}", [piece] * (POURED // len(piece))
        case "chunked":
            chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
            head, pieces = "Transfer-Encoding: chunked", [*[chunk] * (POURED // len(piece)), b"0\r\n\r\n"]
        case _:
            bomb = _bomb()
            head, pieces = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}", [bomb]
    writer.write(f"{_STATUS}{head}\r\n\r\n".encode())
    for part in pieces:
        writer.write(part)
        await writer.drain()


@cache
def _bomb() -> bytes:
    return gzip.compress(b'{"code": 0, "data": "' + bytes(POURED))


def _response(body: bytes) -> bytes:
    return f"{_STATUS}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _numbers() -> dict[str, int]:
    names = ("calls", "now", "most", "accepted", "open")
    return {name: getattr(_Counts, name) for name in names}


async def _listen() -> asyncio.Server:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _bomb()
    return await asyncio.start_server(_converse, "127.0.0.1", 0, backlog=4096)


# ---- The plugin, and who watches it


class Load:
    """A plugin process and a server that it is loaded with, for the time of a `with` block."""

    def __init__(self) -> None:
        self._server = Helper("sandbox.soak", "serve")
        self.plugin = PluginProcess()

    def __enter__(self) -> Self:
        self._server.__enter__()
        try:
            self.plugin.__enter__()
        except BaseException:
            self._server.__exit__(*sys.exc_info())
            raise
        self._proc = Path("/proc", str(self.plugin._process.pid))  # noqa: SLF001 - nobody else needs it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.plugin.__exit__(kind, error, traceback)
        self._server.__exit__(kind, error, traceback)

    @property
    def counts(self) -> dict[str, int]:
        """What the server counted: calls, how many at once, connections accepted and still open."""
        return tally(self._server.port)

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
        """How many files and sockets the plugin has open."""
        return sum(1 for _ in (self._proc / "fd").iterdir())

    def _status(self, name: str) -> int:
        [line] = [line for line in (self._proc / "status").read_text().splitlines() if line.startswith(name)]
        return int(line.split()[1]) * KIB

    def call(self, tool: str, api: str = APIS[0], user: str = "user-1", **manner: Any) -> Invocation:
        """Call a tool on the server, which answers in this manner."""
        url = f"http://127.0.0.1:{self._server.port}/{_Manner(**manner).path}/{api}"
        credentials = {"memos_url": url, "memos_api_key": KEY}
        return self.plugin.invoke(
            tool, _PARAMETERS[tool], credentials, user_id=user, app_id="app", timeout=_PATIENCE
        )

    def at_once(self, number: int, tools: Sequence[str] = TOOLS, **manner: Any) -> list[Invocation]:
        """Call so many times at once, the tools in turn and in both of MemOS's dialects."""
        kinds = islice(cycle((tool, api) for tool in tools for api in APIS), number)
        with ThreadPoolExecutor(number) as threads:
            running = [threads.submit(self.call, tool, api, **manner) for tool, api in kinds]
        return [call.result() for call in running]

    def in_a_row(self, number: int, samples: int) -> list["Sample"]:
        """Call so many times, one call behind the other, every tenth of them in vain; look now and then."""
        kinds = cycle((tool, api) for tool in TOOLS for api in APIS)
        taken = [self._sample(0)]
        for count, (tool, api) in enumerate(islice(kinds, number), start=1):
            in_vain = count % 10 == 5  # noqa: PLR2004 - no sample is taken right after one
            manner: dict[str, Any] = {"pours": "declared"} if in_vain else {"size": 8000}
            done = self.call(tool, api, user=f"user-{count}", **manner)
            if (done.error is not None) != in_vain:
                raise AssertionError(f"call {count}: {done.error}")
            if count % (number // samples) == 0:
                taken.append(self._sample(count))
        return taken

    def _sample(self, calls: int) -> "Sample":
        return Sample(calls, self.memory, self.descriptors, self.counts["open"])


@dataclass(frozen=True)
class Sample:
    """What the plugin holds after so many calls: bytes of memory, descriptors, connections."""

    calls: int
    memory: int
    descriptors: int
    connections: int


def growth(curve: Sequence[Sample]) -> float:
    """Bytes of memory that a call leaves behind: the slope from the curve's middle third to its last.

    The first third is left out: caches and pools fill up there. A third counts by its median.
    """
    third = len(curve) // 3
    middle, last = curve[third:-third], curve[-third:]
    calls = median(sample.calls for sample in last) - median(sample.calls for sample in middle)
    return (median(sample.memory for sample in last) - median(sample.memory for sample in middle)) / calls


# ---- The soak


def soak() -> bool:
    """Load the plugin in every way, and print what came of it; tells whether all held."""
    held = [_many_at_once(), _many_connections(), _in_a_row(), _large()]
    held += [_too_large(number, how) for number in (200, MOST_AT_ONCE) for how in POURS]
    return all(held)


def _many_at_once() -> bool:
    with Load() as load:
        done = load.at_once(1500, seconds=1, together=500)
        counts = load.counts
        finished = sum(call.error is None for call in done)
        return _told(
            "500 calls at once on a server that takes 1 s, and 1,000 behind them",
            f"{counts['most']} at once, {finished} finished, {_mib(load.most_memory)}",
            counts["most"] >= 500 and finished == 1500,  # noqa: PLR2004 - promised
        )


def _many_connections() -> bool:
    with Load() as load:
        waves = [load.at_once(MOST_AT_ONCE, ["search_memory"], together=MOST_AT_ONCE) for _ in range(3)]
        failed = sum(call.error is not None for wave in waves for call in wave)
        accepted = load.counts["accepted"]
        return _told(
            f"three times {MOST_AT_ONCE:,} searches at once on {MOST_AT_ONCE:,} connections",
            f"{accepted:,} connections, {failed} failed, {_mib(load.most_memory)}",
            accepted == MOST_AT_ONCE and not failed,
        )


def _in_a_row() -> bool:
    with Load() as load:
        curve = load.in_a_row(50_000, samples=50)
        for sample in curve:
            bar = "#" * round(sample.memory / MIB / 2)
            print(f"{sample.calls:>8,} calls {_mib(sample.memory):>10} {sample.descriptors:>3} files {bar}")
        descriptors = {sample.descriptors for sample in curve[1:]}
        return _told(
            "50,000 calls in a row",
            f"{growth(curve):+.0f} bytes a call, {min(descriptors)} to {max(descriptors)} descriptors",
            growth(curve) < MOST_GROWTH and max(descriptors) - min(descriptors) <= 1,
        )


def _large() -> bool:
    with Load() as load:
        done = load.at_once(500, ["search_memory"], together=500, size=200 * KIB, seconds=3)
        failed = sum(call.error is not None for call in done)
        return _told(
            "500 replies of 200 KiB at once",
            f"{failed} failed, {_mib(load.most_memory)}",
            not failed and load.most_memory < MEMORY_LIMIT,
        )


def _too_large(number: int, how: str) -> bool:
    with Load() as load:
        done = load.at_once(number, ["search_memory"], together=number, pours=how)
        messages = [call.error.message for call in done if call.error]
        refused = sum(any(words in message for words in REFUSALS) for message in messages)
        return _told(
            f"{number:,} replies of {_mib(POURED)} at once, {how}",
            f"{refused} refused, {_mib(load.most_memory)}",
            refused == len(done) and load.most_memory < MEMORY_LIMIT,
        )


def _told(what: str, measured: str, held: bool) -> bool:
    print(f"{'held  ' if held else 'BROKEN'}  {what}: {measured}", flush=True)
    return held


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve(_listen)
    else:
        sys.exit(not soak())
