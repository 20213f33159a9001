"""A long way to a server: bytes take half a round trip, and a new connection costs a whole one more."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress


async def listen(connected: Callable[..., Awaitable[None]], tls: ssl.SSLContext | None = None) -> int:
    """Listen on 127.0.0.1, and return the port."""
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls, backlog=2048)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def relay(port: int, round_trip: float) -> int:
    """Listen on 127.0.0.1, lead to `port` there in `round_trip` seconds, and return the port."""
    # asyncio itself keeps no task whose first connection is closed, though it still reads the second.
    running = set()

    async def connected(near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        running.add(task := asyncio.current_task())
        # The system opens a connection to 127.0.0.1 at once; one to a far server takes a round trip.
        await asyncio.sleep(round_trip)
        far, far_writer = await asyncio.open_connection("127.0.0.1", port)
        half = round_trip / 2
        await asyncio.gather(_carry(near, far_writer, half), _carry(far, near_writer, half))
        running.remove(task)

    return await listen(connected)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            loop.call_later(seconds, writer.write, data)
    loop.call_later(seconds, writer.close)
