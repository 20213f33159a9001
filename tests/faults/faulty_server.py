"""A MemOS on 127.0.0.1 that breaks HTTP and TLS as a test wants it, works again when told to, and counts."""

import contextlib
import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from socketserver import BaseRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Any, Self

PIECE = 64 * 1024
"""Bytes that are received in one go."""


@dataclass(frozen=True)
class Arrival:
    """A request that arrived whole; `connection` counts the server's connections from 0."""

    path: str
    headers: Message
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Wire:
    """One connection, as a play uses it. Any method ends the play when connection or server have ended."""

    def __init__(self, server: "FaultyServer", connection: socket.socket, number: int) -> None:
        self._server = server
        self._connection = connection
        self._reader = connection.makefile("rb")
        self.number = number
        self.port: int = connection.getsockname()[1]

    def request(self) -> Arrival:
        """Read a whole request, and count it."""
        line = self._reader.readline()
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (more := self._reader.readline()):
                raise ConnectionError
            head += more
        headers = BytesParser().parsebytes(head, headersonly=True)
        length = int(headers.get("Content-Length", 0))
        body = self._reader.read(length)
        if len(body) < length:
            raise ConnectionError
        arrival = Arrival(line.split()[1].decode(), headers, body, self.number)
        self._server.arrivals.append(arrival)
        return arrival

    def wait_for_bytes(self) -> None:
        """Wait until there is something to read, and leave it unread."""
        self._connection.recv(1, socket.MSG_PEEK)

    def byte(self) -> bytes:
        """Wait for the first byte of a request, or of anything else."""
        if not (byte := self._reader.read(1)):
            raise ConnectionError
        return byte

    def goes_on(self) -> bool:
        """Wait for another request, and tell whether there is one."""
        return bool(self._reader.peek(1))

    def send(self, *pieces: bytes, pause: float = 0) -> None:
        """Send each piece, `pause` seconds before every one."""
        for piece in pieces:
            self.wait(pause)
            self._connection.sendall(piece)

    def pour(self, piece: bytes, most: int) -> None:
        """Send this again and again, until the client takes no more or has `most` bytes."""
        for poured in range(0, most, len(piece)):
            # Counted before it is sent: the call may end as soon as the client has it.
            self._server.poured = max(self._server.poured, poured + len(piece))
            self.send(piece)

    def wait(self, seconds: float) -> None:
        """Do nothing for so long."""
        if self._server.closing.wait(seconds):
            raise ConnectionError

    def reset(self) -> None:
        """End the connection with an RST."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._reader.close()
        self._connection.close()
        raise ConnectionError

    def tunnel(self, address: tuple[str, int]) -> None:
        """Carry bytes to a server and back until either side ends."""

        def carry(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(PIECE):
                    target.sendall(data)
                target.shutdown(socket.SHUT_WR)

        with socket.create_connection(address) as server:
            back = threading.Thread(target=carry, args=[server, self._connection])
            back.start()
            carry(self._connection, server)
            back.join()
        self.close()


type Play = Callable[[Wire], None]


class FaultyServer(ThreadingTCPServer):
    """A server for the time of a `with` block; before and after it, its address refuses connections.

    Args:
        play: what happens on a connection, again and again until either ends; it reads the requests itself.
        tls: speak HTTPS.
        scheme: what the URL says, where it does not fit what the server speaks.
    """

    daemon_threads = False  # so that the end of the block waits for them
    request_queue_size = 1024

    def __init__(self, play: Play, tls: ssl.SSLContext | None = None, scheme: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.server_bind()
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"{scheme or ('https' if tls else 'http')}://{self.host}"
        self.play = play
        """May be set to another while the server runs."""
        self.arrivals: list[Arrival] = []
        """The requests that arrived whole, in order."""
        self.connections = 0
        """How many were accepted."""
        self.poured = 0
        """The most bytes of one endless reply that were sent, what sockets hold included."""
        self.closing = threading.Event()
        self.tls = tls
        self._mistakes: list[Exception] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.server_activate()
        self._thread = threading.Thread(target=self.serve_forever, args=[0.02])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        for connection in self._sockets:
            # Not the method of SSLSocket, which pulls the rug from under the thread that reads.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.server_close()
        if self._mistakes and error is None:
            raise ExceptionGroup("a play broke", self._mistakes)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the handshake of TLS is left to the connection's own thread."""
        connection, _ = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections += 1
        self._sockets.append(connection)
        return connection, self.connections - 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - fixed by socketserver
        """Keep what went wrong in a play; an OSError is how one ends."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._mistakes.append(error)


class _Handler(BaseRequestHandler):
    server: FaultyServer

    def handle(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        wire = Wire(self.server, self.request, self.client_address)
        self.server.play(wire)
        while wire.goes_on():
            self.server.play(wire)


def http(body: Any = b"", status: int = 200, headers: Mapping[str, Any] | None = None) -> bytes:
    """Write a reply: `body` as it is or, if it is no bytes, as JSON; a header that is None is left out."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    usual = {"Content-Type": "application/json", "Content-Length": len(content)}
    return head(status, usual | dict(headers or {})) + content


def head(status: int = 200, headers: Mapping[str, Any] | None = None) -> bytes:
    """Write the start of a reply, down to the empty line."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus else "Odd"
    lines = [f"{name}: {value}" for name, value in (headers or {}).items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status} {phrase}", *lines, "", ""]).encode("latin-1")


def healthy(wire: Wire) -> None:
    """Answer one request as MemOS would, in its dialect, and about the user that it names."""
    wire.send(http(good_reply(wire.request())))


def good_reply(arrival: Arrival) -> dict[str, Any]:
    """The reply that MemOS would give: one memory found, or the messages stored."""
    text = f"Only {arrival.json['user_id']} knows."
    match arrival.path.rpartition("/")[2]:
        case "memory":  # the cloud's /search/memory
            return {"code": 0, "message": "ok", "data": {"memory_detail_list": [{"memory_value": text}]}}
        case "message":  # the cloud's /add/message
            return {
                "code": 0,
                "message": "ok",
                "data": {"success": True, "task_id": "t1", "status": "running"},
            }
        case "search":
            found = [{"cube_id": "c1", "memories": [{"id": "m1", "memory": text, "metadata": {}}]}]
            return {"code": 200, "message": "ok", "data": {"text_mem": found}}
        case _:
            return {"code": 200, "message": "ok", "data": [{"memory": text, "memory_id": "m1"}]}
