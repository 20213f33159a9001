"""Stands in for MemOS, in a process of its own: its paths say how long it thinks and how much it remembers.

`/0.5s/6-6-0-0/openmem/v1/search/memory` is answered after half a second, with six facts and six preferences;
`/counts` with the connections and searches so far. Usage: `python -m sandbox.bench.stand_in [CERT.pem]`, with
a pipe as standard input. It writes its port, and ends when the pipe is closed.
"""

import asyncio
import json
import re
import ssl
import sys
from functools import cache
from typing import cast

from sandbox.bench.helper import serve
from sandbox.bench.replies import Counts, reply

_PATH = re.compile(r"/(?P<seconds>[0-9.]+)s/(?P<counts>\d+-\d+-\d+-\d+)/openmem/v1/search/memory")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def address(port: int, counts: Counts, *, secure: bool = False, seconds: float = 0) -> str:
    """The MemOS URL of a stand-in at `port` that thinks for `seconds`, and remembers `counts` memories."""
    scheme = "https" if secure else "http"
    return f"{scheme}://127.0.0.1:{port}/{seconds:g}s/{'-'.join(map(str, counts))}/openmem/v1"


class StandIn(asyncio.Protocol):
    """One connection."""

    connections = searches = 0
    """Of all, but those that only asked for these numbers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""
        self._counted = False

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        path = head.split(b" ", 2)[1].decode()
        if path == "/counts":
            found = {"connections": StandIn.connections, "searches": StandIn.searches}
            self._answer(_response(json.dumps(found).encode()))
            return
        StandIn.searches += 1
        StandIn.connections += not self._counted
        self._counted = True
        seconds, response = _prepared(path)
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._answer, response)
        else:
            self._answer(response)

    def _answer(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


@cache
def _prepared(path: str) -> tuple[float, bytes]:
    parts = _PATH.fullmatch(path)
    if not parts:
        return 0, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    facts, preferences, tools, skills = map(int, parts["counts"].split("-"))
    return float(parts["seconds"]), _response(reply((facts, preferences, tools, skills)))


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _listen() -> asyncio.Server:
    tls = None
    if len(sys.argv) > 1:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1])
    loop = asyncio.get_running_loop()
    return await loop.create_server(StandIn, "127.0.0.1", 0, ssl=tls, backlog=2048)


if __name__ == "__main__":
    serve(_listen)
