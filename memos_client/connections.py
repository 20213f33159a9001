"""Connections that hold to a deadline, know whether a request can have arrived, and why no answer came."""

import io
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from socket import SHUT_RDWR, socket
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    DecodeError,
    HTTPError,
    InvalidHeader,
    NameResolutionError,
    ProtocolError,
    ProxyError,
    ProxySchemeUnknown,
)

CONNECT_SECONDS = 5
LARGEST_REPLY = 4 * 1024 * 1024
"""Bytes of a reply that are read, as they come and decompressed."""

CUT_OFF = "cut off"

_LARGEST_HEAD = 64 * 1024
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
    answered: bool = False
    """Whether the head of a reply has come."""
    received: int = 0
    """Bytes of the reply so far, its head included."""
    passing: bool = False
    """Whether the same request may fare better in a moment."""
    retry_after: float | None = None
    """Seconds that the server asks for before that."""

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


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_ByteStream(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        # All of 1xx are interim (RFC 9110, section 15.2), and the standard library skips 100 only. Taken for
        # the reply, another would leave the reply itself to the next request, which may be another user's.
        version, status, reason = super()._read_status()  # type: ignore[misc] # typeshed leaves it out
        return version, HTTPStatus.CONTINUE if status in range(100, 200) else status, reason


class PlainConnection(HTTPConnection):
    """An HTTP connection whose every use belongs to the current exchange."""

    response_class = _Response
    _connecting = False
    _handle: socket | None = None
    _parts: list[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether this kept-alive connection may carry the current request."""
        return not current_exchange.get().fresh and super().is_connected

    def connect(self) -> None:
        """Connect, TLS and a proxy's greeting included; none of that is the request.

        Raises:
            TimeoutError: It took too long in all.
        """
        late = threading.Event()

        def break_off() -> None:
            late.set()
            with suppress(OSError):
                if self._handle:
                    self._handle.shutdown(SHUT_RDWR)

        watch = threading.Timer(min(CONNECT_SECONDS, current_exchange.get().time_left()), break_off)
        watch.start()
        self._connecting = True
        try:
            super().connect()
        except (HTTPError, OSError) as error:
            if late.is_set():
                raise TimeoutError from error
            raise
        finally:
            self._connecting = False
            watch.cancel()
            if self._handle:
                self._handle.close()

    def _new_conn(self) -> socket:
        connection = super()._new_conn()
        # TLS takes the socket itself over; this copy of it can still be shut down.
        self._handle = connection.dup()
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send head and body of a request together, which spares a packet and wakes the server once."""
        self._parts = []
        try:
            super().request(*args, **kwargs)
            whole = b"".join(self._parts)
        finally:
            self._parts = None
        self.send(whole)

    def send(self, data: Any) -> None:
        """Send, and note that something may have left."""
        if self._parts is not None:
            self._parts.append(data)
            return
        if self.sock is None:
            self.connect()
        exchange = current_exchange.get()
        if not self._connecting:
            self.sock.settimeout(exchange.time_left())
            exchange.sent = True
        super().send(data)


class TlsConnection(PlainConnection, HTTPSConnection):
    """The same over TLS."""


class PlainPool(HTTPConnectionPool):
    """Kept-alive HTTP connections to one server."""

    ConnectionCls = PlainConnection


class TlsPool(HTTPSConnectionPool):
    """Kept-alive HTTPS connections to one server."""

    ConnectionCls = TlsConnection


def misfit(error: BaseException, exchange: Exchange) -> str:
    """Say how what came is no reply, or "" where nothing came."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ReplyTooLargeError):
            return "too large"
        if isinstance(cause, DecodeError):
            return "broken compression"
        if isinstance(cause, HTTPException | InvalidHeader) and not isinstance(cause, RemoteDisconnected):
            return CUT_OFF if hasattr(cause, "partial") else "not HTTP"
    if exchange.answered and not any(isinstance(cause, OSError) for cause in causes):
        return CUT_OFF if any(isinstance(cause, ProtocolError) for cause in causes) else "not HTTP"
    return ""


# Why no answer came, what was found first in a chain of causes counting most; and whether that may pass soon.
_REASONS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (FileNotFoundError, "the CA bundle that the environment names does not exist", False),
    (ProxyError, "the proxy that the environment names failed", True),
    (ProxySchemeUnknown, "the proxy that the environment names is of an unknown kind", False),
    (NameResolutionError, "host name not found", True),
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
