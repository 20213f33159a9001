"""Connections that hold to a deadline, know whether a request can have arrived, and why no answer came."""

import io
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead, RemoteDisconnected
from socket import MSG_PEEK, SHUT_RDWR, gaierror, getaddrinfo, socket
from typing import Any
from weakref import finalize

from urllib3 import HTTPResponse as UnpackedResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, HTTPError, ProxyError, ProxySchemeUnknown

CONNECT_SECONDS = 5
LARGEST_REPLY = 4 * 1024 * 1024
"""Bytes of a reply that are read, as they come and decompressed."""

CUT_OFF = "cut off"
NOT_HTTP = "not HTTP"

# As many as the calls that the SDK serves at once (MAX_WORKER of dify_plugin/config/config.py).
_MOST_IDLE = 1000
_KNOWN_SECONDS = 60
_LARGEST_HEAD = 64 * 1024
_PIECE = 16 * 1024
_READS_OF_A_REPLY = 4


@dataclass(frozen=True)
class Patience:
    """How long a call may take, in seconds.

    Args:
        silence: Longest wait for the next byte.
        ceiling: Longest call, repetitions included.
        tries: Most times that a request is sent.
    """

    silence: float
    ceiling: float
    tries: int = 3


@dataclass
class Exchange:
    """One request and its reply, as the connection that carries them sees it.

    Args:
        call: How long the call may take that this exchange belongs to.
        deadline: When that call is over, on the clock of `time.monotonic`.
        repeatable: Whether a second copy of the request does no harm.
        fresh: Whether it needs a connection of its own. The server may be closing an idle one in this very
            moment: a request that must not arrive twice could not be sent again then, and one that already
            met such a connection may meet another.
    """

    call: Patience
    deadline: float
    repeatable: bool
    fresh: bool
    sent: bool = False
    """Whether a byte of the request may have left."""
    received: int = 0
    """Bytes of the reply so far, its head included."""
    passing: bool = False
    """Whether the same request may fare better in a moment."""
    retry_after: float | None = None
    """Seconds that the server asks for before that."""

    @property
    def doubt(self) -> str:
        """What else there is to say when the call fails: " The messages may have been stored.", or ""."""
        return " The messages may have been stored all the same." if self.sent and not self.repeatable else ""

    def time_left(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: It has passed.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def patience(self) -> float:
        """Seconds to wait for the next byte.

        Raises:
            TimeoutError: The deadline has passed.
        """
        return min(self.call.silence, self.time_left())


current_exchange: ContextVar[Exchange] = ContextVar("current_exchange")
"""The exchange that the running thread (under gevent: greenlet) is in."""


class ReplyTooLargeError(HTTPException):
    """More came than a reply may hold, whatever it was."""


class _ByteStream(io.RawIOBase):
    """The bytes of a reply, read within the limits of the exchange.

    A socket's own timeout starts anew with every byte, so that a slow reply could last for ever.
    """

    def __init__(self, stream: io.RawIOBase, connection: socket) -> None:
        self._stream = stream
        self._connection = connection
        self._reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        exchange = current_exchange.get()
        self._connection.settimeout(exchange.patience())
        self._reads += 1
        if self._reads > _READS_OF_A_REPLY:
            # A server that never pauses would let nothing else run: under gevent, only waiting does.
            time.sleep(0)
        count = self._stream.readinto(buffer)
        exchange.received += count or 0
        if exchange.received > LARGEST_REPLY + _LARGEST_HEAD:
            raise ReplyTooLargeError
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class Response(HTTPResponse):
    """A reply that holds to the limits of the exchange."""

    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_ByteStream(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        # All of 1xx are interim (RFC 9110, section 15.2), and the standard library skips 100 only. Taken for
        # the reply, another would leave the reply itself to the next request, which may be another user's.
        version, status, reason = super()._read_status()  # type: ignore[misc] # typeshed leaves it out
        return version, HTTPStatus.CONTINUE if status in range(100, 200) else status, reason

    def pieces(self) -> Iterator[bytes]:
        """The body, decompressed, in pieces of 16 KiB.

        Raises:
            HTTPError, HTTPException, OSError: It broke off, or is none.
        """
        if "Content-Encoding" in self.headers:
            whole = UnpackedResponse(self, dict(self.headers.items()), preload_content=False)
            yield from whole.stream(_PIECE, decode_content=True)
            return
        try:
            while piece := self.read(_PIECE):
                yield piece
        except ValueError as error:
            raise HTTPException("a chunk of a negative size") from error
        if self.length:
            raise IncompleteRead(b"", self.length)


class _Name:
    """The name of a host, and how many may look it up at once.

    gevent has ten threads for all look-ups. A name server that does not answer for one host would keep all of
    them, and everybody else waiting: a host gets two, until its name is known to be found.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._places = threading.BoundedSemaphore(2)
        self._known_until = 0.0

    def look_up(self) -> None:
        """Return when the name was found lately: addresses are left to who connects.

        Raises:
            TimeoutError: Others have been waiting for an answer for too long.
            OSError: There is no such name.
        """
        if time.monotonic() < self._known_until:
            return
        if not self._places.acquire(timeout=CONNECT_SECONDS):
            raise TimeoutError
        try:
            if time.monotonic() >= self._known_until:
                getaddrinfo(self._host, None)
                self._known_until = time.monotonic() + _KNOWN_SECONDS
        finally:
            self._places.release()


_name = lru_cache(maxsize=1000)(_Name)


class PlainConnection(HTTPConnection):
    """An HTTP connection whose every use belongs to the current exchange."""

    response_class = Response
    _handle: socket | None = None
    _response: Response | None = None

    @property
    def is_connected(self) -> bool:
        """Whether this kept-alive connection may carry the current request."""
        if current_exchange.get().fresh:
            return False
        if not isinstance(self.sock, socket):  # none, or TLS within the TLS of a proxy
            return super().is_connected
        self.sock.settimeout(0)
        try:
            # A server that closed it, or spoke unasked, left something to read; TLS itself knows no peek.
            socket.recv(self.sock, 1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def connect(self) -> None:
        """Connect, TLS and a proxy's greeting included; none of that is the request.

        Raises:
            TimeoutError: It took too long in all.
            HTTPError, HTTPException, OSError, ValueError: It failed.
        """
        self.timeout = min(CONNECT_SECONDS, current_exchange.get().time_left())
        # In a thread of its own, since nothing breaks off the wait for a name server.
        executor = ThreadPoolExecutor(1)
        attempt = executor.submit(copy_context().run, super().connect)
        executor.shutdown(wait=False)
        try:
            attempt.result(self.timeout)
        except (HTTPError, HTTPException, OSError) as error:
            if not attempt.done():
                self._shut_down()
                attempt.add_done_callback(lambda _: self.close())
            elif self.proxy and not self.has_connected_to_proxy:
                raise ProxyError("no connection", error) from error
            raise
        self._close_handle()

    def _new_conn(self) -> socket:
        _name(self._dns_host).look_up()
        connection = super()._new_conn()
        # TLS takes the socket itself over; this copy of it can still be shut down.
        self._handle = connection.dup()
        return connection

    def close(self) -> None:
        """Close it, whatever it is doing."""
        super().close()
        self._close_handle()
        if self._response:
            self._response.close()

    def _shut_down(self) -> None:
        with suppress(OSError):
            if self._handle:
                self._handle.shutdown(SHUT_RDWR)

    def _close_handle(self) -> None:
        if self._handle:
            self._handle.close()

    def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a request, and read the head of its reply.

        urllib3 opens the connection, and the standard library reads. What both would do to write a head takes
        longer than all else here; that no value holds a line end is the caller's part.

        Raises:
            HTTPError, HTTPException, OSError: There was no connection, or no reply came.
        """
        if self.sock is None:
            self.connect()
        fields = {"Content-Length": str(len(body)), **headers}
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        exchange = current_exchange.get()
        self.sock.settimeout(exchange.time_left())
        exchange.sent = True
        # A server may refuse a request before it has read it: the refusal is there to be read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall("\r\n".join(lines).encode("ascii") + body)
        self._response = response = Response(self.sock, method="POST")
        response.begin()
        return response

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow: the reply was read to its end, and is not the last one."""
        response = self._response
        return response is not None and response.isclosed() and not response.will_close


class TlsConnection(PlainConnection, HTTPSConnection):
    """The same over TLS."""


class Server:
    """The kept-alive connections to one server, shared by all calls: a connection carries nobody's key.

    Args:
        connect: Makes a connection, not yet open.
        prefix: What the target of each request begins with, which a proxy wants to know.
        headers: What that proxy wants to know besides.
    """

    def __init__(
        self,
        connect: Callable[[], PlainConnection],
        prefix: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.prefix = prefix
        self.headers = headers or {}
        self._connect = connect
        self._idle = deque[PlainConnection]()
        finalize(self, _close_all, self._idle)

    @contextmanager
    def connection(self) -> Iterator[PlainConnection]:
        """A connection for one exchange; it is kept for others if the block ends well."""
        connection = self._idle_one() or self._connect()
        kept = False
        try:
            yield connection
            kept = connection.is_reusable and len(self._idle) < _MOST_IDLE
        finally:
            if kept:
                self._idle.append(connection)
            else:
                connection.close()

    def _idle_one(self) -> PlainConnection | None:
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        if connection.is_connected:
            return connection
        # A new one takes its place, so that there are never more than calls at once.
        connection.close()
        return None


def _close_all(connections: deque[PlainConnection]) -> None:
    for connection in connections:
        connection.close()


def misfit(error: BaseException) -> str:
    """Say how what came is no reply, or "" where nothing came."""
    for cause in _causes(error):
        if isinstance(cause, ReplyTooLargeError):
            return "too large"
        if isinstance(cause, DecodeError):
            return "broken compression"
        if isinstance(cause, HTTPException) and not isinstance(cause, RemoteDisconnected):
            return CUT_OFF if isinstance(cause, IncompleteRead) else NOT_HTTP
    return ""


# Why no answer came, what was found first in a chain of causes counting most; and whether that may pass soon.
_REASONS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (FileNotFoundError, "the CA bundle that the environment names does not exist", False),
    (ProxyError, "the proxy that the environment names failed", True),
    (ProxySchemeUnknown, "the proxy that the environment names is of an unknown kind", False),
    (gaierror, "host name not found", True),
    (ConnectionRefusedError, "connection refused", True),
    (ssl.SSLError, "TLS failed", False),
)
# By OpenSSL's X509_V_ERR_… numbers.
_CERTIFICATE_PROBLEMS = {10: "expired", 62: "for another host", 64: "for another host"}


def why_no_answer(error: BaseException, exchange: Exchange) -> tuple[str, bool]:
    """Say why no answer came, and whether that may pass in a moment."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS certificate {_CERTIFICATE_PROBLEMS.get(cause.verify_code, 'not trusted')}", False
        if isinstance(cause, TimeoutError):
            return _lateness(exchange), False
    for kind, reason, passing in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return reason, passing
    return "connection dropped" if exchange.sent else "no connection", True


def _lateness(exchange: Exchange) -> str:
    if time.monotonic() >= exchange.deadline:
        return f"not complete within {exchange.call.ceiling:g} s"
    if exchange.sent:
        return f"silent for {exchange.call.silence:g} s"
    return f"no connection within {CONNECT_SECONDS} s"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Every exception that stands behind `error`, however the libraries wrapped it."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            behind = (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__)
            waiting.extend(other for other in behind if isinstance(other, BaseException))
