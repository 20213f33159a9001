"""An HTTP server on 127.0.0.1 that records what it is asked and answers what it was told to answer."""

import collections
import contextlib
import itertools
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """A request as it arrived; `connection` counts connections from 0, so that their reuse can be seen."""

    method: str
    path: str
    headers: Message
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """An answer, sent `delay` seconds after its request.

    A `body` that is a mapping is sent as JSON. One that is neither that nor bytes is sent piece by piece, as
    the pieces come; `headers` then have to tell its length, or that it is chunked.
    """

    body: Mapping[str, Any] | bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0


type Step = Answer | Callable[[Request], Answer]


class ScriptedServer(ThreadingHTTPServer):
    """A server for the time of a `with` block, which speaks HTTP/1.1 and keeps connections alive.

    A step of the script is an answer, good for one request, or a function, good for all that follow; one that
    raises OSError hangs up. Requests for which nothing is left are answered with status 599, and leaving the
    block raises AssertionError.

    Args:
        answers: the script for paths that have nothing left of their own.
    """

    daemon_threads = False  # so that the end of the block waits for them
    request_queue_size = 1024  # so that hundreds of calls can connect at the same moment

    def __init__(self, *answers: Step) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []
        self.connection_numbers = itertools.count()
        self._any_path = collections.deque(answers)
        self._paths: dict[str, collections.deque[Step]] = {}
        self._failures: list[str] = []
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        """Scheme, address and port: `http://127.0.0.1:34567`."""
        return f"http://127.0.0.1:{self.server_port}"

    def script(self, path: str, *answers: Step) -> None:
        """Put answers behind those that this path still has; they are used before those of every path."""
        with self._lock:
            self._paths.setdefault(path, collections.deque()).extend(answers)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._closing.set()
        self.server_close()
        if self._failures and kind is None:
            raise AssertionError("; ".join(self._failures))

    def answer(self, request: Request) -> Answer:
        """Record a request and return its answer, after the answer's delay."""
        self.requests.append(request)
        with self._lock:
            steps = self._paths.get(request.path) or self._any_path
            if not steps:
                self._failures.append(f"nothing was scripted for {request.method} {request.path}")
                return Answer(status=599)
            step = steps.popleft() if isinstance(steps[0], Answer) else steps[0]
        answer = step if isinstance(step, Answer) else step(request)
        self._closing.wait(answer.delay)
        return answer

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and keep it for the end of the block."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - fixed by socketserver
        """Keep what went wrong in a function of the script; both sides may hang up as they like."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self._failures.append(f"while answering {client_address}: {error!r}")


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece: in two, the second would wait for the client's delayed ACK

    def setup(self) -> None:
        self.number = next(self.server.connection_numbers)
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.server.answer(Request(self.command, self.path, self.headers, body, self.number))
        content = json.dumps(answer.body).encode() if isinstance(answer.body, Mapping) else answer.body
        length = {"Content-Length": str(len(content))} if isinstance(content, bytes) else {}
        self.send_response(answer.status)
        for name, value in ({"Content-Type": "application/json"} | length | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        for piece in [content] if isinstance(content, bytes) else content:
            self.wfile.write(piece)
            self.wfile.flush()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Say nothing: `requests` tells it all."""
