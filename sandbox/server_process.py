"""Runs a server in a process of its own, which ends with the process that started it."""

import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import IO, Self, cast

from sandbox.plugin_process import REPOSITORY


def serve(listen: Callable[[], Awaitable[asyncio.Server]]) -> None:
    """Run a server, write its port to standard output, and stop when standard input is closed."""

    async def run() -> None:
        server = await listen()
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
        print(server.sockets[0].getsockname()[1], flush=True)
        await closed.wait()

    asyncio.run(run())


def tally(port: int) -> dict[str, int]:
    """Ask a server for what it counted so far, this question left out: GET /counts, without TLS."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/counts")
        found: dict[str, int] = json.load(connection.getresponse())
    finally:
        connection.close()
    return found


class Helper:
    """A module that runs in a process of its own for the time of a `with` block.

    Args:
        module: its name; it writes a line when it is ready, and ends when its standard input is closed.
        arguments: its command line.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]

    def __enter__(self) -> Self:
        """Start it, and wait until it is ready."""
        self._process = subprocess.Popen(
            self._command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.stdin = cast("IO[bytes]", self._process.stdin)
        self.stdout = cast("IO[bytes]", self._process.stdout)
        self.first_line = self.stdout.readline().decode()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Closes the pipes, and waits.
        self._process.__exit__(kind, error, traceback)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.first_line)
