"""Stands for a long way, in a process of its own: passes bytes on after half a round trip.

A client's first bytes wait for a whole round trip more: the system opens a connection to 127.0.0.1 at once,
while one to a far server takes that long. Usage: `python -m sandbox.bench.relay PORT SECONDS`, with a pipe as
standard input: where the way leads, and its round trip. It writes its own port, and ends when the pipe is
closed.
"""

import asyncio
import sys
from collections import deque
from typing import cast

from sandbox.bench.helper import serve


class Way:
    """One direction of a connection: what enters it arrives later, in order.

    Args:
        seconds: How long everything travels.
        open_at: When, on the event loop's clock, the first byte can enter.
    """

    def __init__(self, seconds: float, open_at: float = 0) -> None:
        self._seconds = seconds
        self._open_at = open_at
        self._loop = asyncio.get_running_loop()
        self._travelling: deque[tuple[float, bytes]] = deque()
        self._exit: asyncio.Transport | None = None

    def lead_to(self, transport: asyncio.Transport) -> None:
        """Say where this way ends."""
        self._exit = transport
        self._arrive()

    def enter(self, data: bytes) -> None:
        """Send bytes on their way; none stand for the end of the connection."""
        arrival = max(self._loop.time(), self._open_at) + self._seconds
        self._travelling.append((arrival, data))
        if len(self._travelling) == 1:
            self._loop.call_at(arrival, self._arrive)

    def _arrive(self) -> None:
        if self._exit is None:
            return
        # One timer for all that travels: asyncio does not keep the order of timers of the same moment.
        while self._travelling and self._travelling[0][0] <= self._loop.time():
            _, data = self._travelling.popleft()
            if data:
                self._exit.write(data)
            else:
                self._exit.close()
        if self._travelling:
            self._loop.call_at(self._travelling[0][0], self._arrive)


class End(asyncio.Protocol):
    """One end of a connection.

    Args:
        out: Where bytes enter that come in here.
        back: Whose bytes are written here.
    """

    def __init__(self, out: Way, back: Way) -> None:
        self._out = out
        self._back = back

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Finish the way back."""
        self._back.lead_to(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self._out.enter(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - fixed by asyncio
        """Pass the end on."""
        self._out.enter(b"")


async def _listen() -> asyncio.Server:
    port, round_trip = int(sys.argv[1]), float(sys.argv[2])
    loop = asyncio.get_running_loop()
    connecting = set()

    def arrival() -> End:
        there = Way(round_trip / 2, open_at=loop.time() + round_trip)
        back = Way(round_trip / 2)
        # The loop itself keeps no task alive.
        task = loop.create_task(loop.create_connection(lambda: End(back, there), "127.0.0.1", port))
        connecting.add(task)
        task.add_done_callback(connecting.discard)
        return End(there, back)

    return await loop.create_server(arrival, "127.0.0.1", 0, backlog=2048)


if __name__ == "__main__":
    serve(_listen)
