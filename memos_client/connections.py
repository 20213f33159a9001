"""Connections that hold to a deadline, know whether a request can have arrived, and why no answer came."""

import io
import ssl
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from socket import socket
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, NameResolutionError, ProxyError, ProxySchemeUnknown

CONNECT_SECONDS = 5


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
    """

    call: Patience
    deadline: float
    repeatable: bool
    sent: bool = False
    """Whether a byte of the request may have left."""

    def patience(self) -> float:
        """Seconds to wait for the next byte.

        Raises:
            TimeoutError: The deadline has passed.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(self.call.silence, left)


current_exchange: ContextVar[Exchange] = ContextVar("current_exchange")
"""The exchange that the running thread (under gevent: greenlet) is in."""


class _ByteStream(io.RawIOBase):
    """The bytes of a reply; each wait for more of them is as long as the exchange allows.

    A socket's own timeout starts anew with every byte, so that a slow reply could last for ever.
    """

    def __init__(self, stream: io.RawIOBase, connection: socket) -> None:
        self._stream = stream
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(current_exchange.get().patience())
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_ByteStream(self.fp.detach(), sock))


class PlainConnection(HTTPConnection):
    """An HTTP connection whose every use belongs to the current exchange."""

    response_class = _Response
    _parts: list[bytes] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether this kept-alive connection may carry the current request.

        The server may be closing it in this very moment. What must not arrive twice could not be sent again
        then, so it never travels on a connection that was idle.
        """
        return current_exchange.get().repeatable and super().is_connected

    def connect(self) -> None:
        """Connect; a proxy's greeting and TLS pass through `send`, but nothing of the request has left."""
        super().connect()
        exchange = current_exchange.get()
        exchange.sent = False
        self.sock.settimeout(exchange.patience())

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
        current_exchange.get().sent = True
        super().send(data)


class TlsConnection(PlainConnection, HTTPSConnection):
    """The same over TLS."""


class PlainPool(HTTPConnectionPool):
    """Kept-alive HTTP connections to one server."""

    ConnectionCls = PlainConnection


class TlsPool(HTTPSConnectionPool):
    """Kept-alive HTTPS connections to one server."""

    ConnectionCls = TlsConnection


def misfit(error: BaseException) -> str:
    """Say how what came is no reply, or "" where nothing came."""
    for cause in _causes(error):
        if isinstance(cause, DecodeError):
            return "broken compression"
        if isinstance(cause, HTTPException) and not isinstance(cause, RemoteDisconnected):
            return CUT_OFF if hasattr(cause, "partial") else "not HTTP"
    return ""


CUT_OFF = "cut off"

# Why no answer came, what was found first in a chain of causes counting most; and whether that may pass soon.
_REASONS: tuple[tuple[type[BaseException], str, bool], ...] = (
    (FileNotFoundError, "the CA bundle that the environment names does not exist", False),
    (ProxyError, "the proxy that the environment names failed", True),
    (ProxySchemeUnknown, "the proxy that the environment names is of an unknown kind", False),
    (NameResolutionError, "host name not found", True),
    (ConnectionRefusedError, "connection refused", True),
    (ssl.SSLError, "TLS failed", False),
)
_CERTIFICATE_PROBLEMS = {
    10: "expired",
    62: "for another host",
    64: "for another host",
}  # OpenSSL's X509_V_ERR_…


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
