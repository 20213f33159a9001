"""Sends requests over HTTP, within one time limit, knowing whether a request can have left."""

import os
import random
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gevent import Timeout, get_hub, sleep
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema, ProxyError
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies
from urllib3.exceptions import DecodeError, HTTPError, InvalidHeader, ProtocolError, ProxySchemeUnknown
from urllib3.util import Retry

from memos_client.errors import MemosConnectionError, MemosError, bad_reply

LARGEST_REPLY = 1024 * 1024
"""Bytes of a reply, decompressed; a hundred memories have some 50 KiB."""

# Look-ups run in gevent's threads. Ten, the usual number, are used up by ten calls to a silent name server.
get_hub().threadpool.maxsize = 100


class Limits(NamedTuple):
    """How long a call may take, in seconds, and how often its request may be sent.

    Args:
        total: The whole call: every repetition and every pause.
        connect: Look-up, connection and TLS of one sending.
        tries: Most sendings of a request that did not arrive.
        largest: Most bytes of the reply, decompressed.
    """

    total: float
    connect: float = 5
    tries: int = 3
    largest: int = LARGEST_REPLY


class Reply(NamedTuple):
    """A whole reply; its headers are found by their names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Failure(NamedTuple):
    """Why there is no reply; no words stand for a connection that was lost."""

    words: str
    is_bad_reply: bool = False
    may_pass: bool = False
    advice: str | None = None


class _StoppedError(Exception):
    """Ends a sending before `requests` would; holds the failure, or None when the whole call is over.

    An exception of the project's own: `gevent.Timeout` is a BaseException, which would end the tool without a
    word, and an OSError would be taken for the failure of one address among several.
    """


@dataclass
class _Body:
    """The body of a request, which `requests` asks for as soon as it is connected, and not before.

    An exception alone can't tell whether a request has left: TLS that is reset, or slow, looks like a lost
    reply.
    """

    data: bytes
    connecting: Timeout
    asked_for: bool = False

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[bytes]:
        self.connecting.close()
        self.asked_for = True
        yield self.data


class _Sending:
    """One sending of a request.

    Whether any of it may have arrived, whether a reply has begun, and the reply or why there is none.
    """

    sent = answered = False
    reply: Reply | None = None
    failure: _Failure | None = None

    def run(
        self, url: str, headers: Mapping[str, str], data: bytes | None, limits: Limits, *, fresh: bool
    ) -> None:
        """Send it; `fresh` asks for a connection of its own."""
        late = _Failure(f"no connection within {limits.connect:g} s")
        # A GET has no body by which to tell that it is connected.
        connecting = Timeout(limits.connect if data else None, _StoppedError(late))
        body = _Body(data, connecting) if data else None
        try:
            request = _prepared(url, headers, body)
            with (
                connecting,
                closing(_Adapter()) if fresh else nullcontext(_shared_adapter()) as adapter,
                adapter.send(request, stream=True, proxies=_proxies(url)) as reply,
            ):
                connecting.close()
                self.answered = True
                self.reply = Reply(reply.status_code, reply.headers, _read(reply, limits.largest))
        except _StoppedError as stopped:
            self.failure = stopped.args[0]
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            self.failure = _why(error)
        finally:
            # What ends without words has lost a connection, which a GET can't tell from one never made.
            has_left = body.asked_for if body else not (self.failure and self.failure.words)
            self.sent = self.answered or has_left

    def pause_before_repeat(self, tries: int, most: int, *, repeatable: bool) -> float | None:
        """Seconds until the request, sent `tries` times of `most`, may be sent again; None for never.

        What may have arrived is repeated once, and only where a second copy does no harm.
        """
        if self.sent:
            most = min(most, 2) if repeatable else 1
        failure, reply = self.failure, self.reply
        may_pass = (failure and failure.may_pass) or (reply and reply.status in {429, 502, 503, 504})
        if tries >= most or not may_pass:
            return None
        asked = _seconds(reply.headers.get("Retry-After", "")) if reply else None
        # Many calls fail at once when a server restarts: they don't come back at once.
        return tries * random.uniform(0.1, 0.3) if asked is None else asked  # noqa: S311 - no secret

    def error(self, host: str, late: str) -> MemosError:
        """The error of a request without a reply; one that failed for no reason of its own came too late."""
        words, is_bad_reply, _, own_advice = self.failure or _Failure(late)
        if is_bad_reply:
            return bad_reply(host, words, own_advice, refused=not self.sent)
        words = words or ("connection dropped" if self.sent else "no connection")
        fact, advice = f"No answer from MemOS at {host} ({words}).", MemosConnectionError.usual_advice
        if not self.sent and urlsplit(f"//{host}").hostname in {"localhost", "127.0.0.1", "::1"}:
            advice += " Here, localhost is the container that Dify's plugin daemon runs in."
        return MemosConnectionError(fact, advice, refused=not self.sent)


def send(
    url: str, headers: Mapping[str, str], data: bytes | None, limits: Limits, *, repeatable: bool
) -> Reply:
    """Send a request as often as it may be sent, and return its reply, whatever that says.

    Args:
        url: The address, http or https.
        headers: All of the request's own; no others are sent, but for Host and Content-Length.
        data: The body of a POST; None for a GET.
        limits: How long all of it may take.
        repeatable: Whether a second copy of the request does no harm.

    Raises:
        MemosConnectionError: No answer came; `refused` says that nothing can have arrived.
        MemosReplyError: What came is no whole reply.
    """
    deadline, tries = time.monotonic() + limits.total, 0
    # The one limit for look-up, connection, TLS, a head or a body that drips, and pauses.
    with suppress(_StoppedError), Timeout(limits.total, _StoppedError(None)):
        while True:
            tries, sending = tries + 1, _Sending()
            # A server may be closing an idle connection in this very moment: what must not arrive twice
            # could not be sent again then, and what met one such connection may meet another.
            sending.run(url, headers, data, limits, fresh=tries > 1 or not repeatable)
            pause = sending.pause_before_repeat(tries, limits.tries, repeatable=repeatable)
            if pause is None or time.monotonic() + pause >= deadline:
                break
            time.sleep(pause)
    if sending.reply:
        return sending.reply
    late = "silent for" if tries == 1 and sending.sent and not sending.answered else "not complete within"
    raise sending.error(urlsplit(url).netloc, f"{late} {limits.total:g} s")


def _prepared(url: str, headers: Mapping[str, str], body: _Body | None) -> PreparedRequest:
    """A request of what is given and nothing else: `Request.prepare` would look for keys and cookies."""
    request = PreparedRequest()
    request.method, request.url = "POST" if body else "GET", url
    request.prepare_headers(headers)
    request.prepare_body(body, None)
    return request


class _Adapter(HTTPAdapter):
    """Connections that share one TLS context: reading the certificates for each takes 16 ms of CPU."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        # urllib3 sends head and body apart and, towards proxies, waits for 40 ms between them (Nagle).
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        contexts = {"ssl_context": _tls_context(), "proxy_ssl_context": _tls_context()}
        return super().proxy_manager_for(proxy, socket_options=options, **contexts, **kwargs)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Leave it to the context, which verifies; `requests` would name a bundle to be read again."""


@cache
def _shared_adapter() -> _Adapter:
    """Shared by all users, who share nothing but its connections: these carry nobody's key.

    No `Session`, which would follow redirects, keep cookies, and take keys from the environment.
    """
    # As many connections as the SDK serves calls at once (MAX_WORKER of dify_plugin/config/config.py).
    return _Adapter(pool_connections=100, pool_maxsize=1000)


_proxies = lru_cache(maxsize=100)(get_environ_proxies)


@cache
def _tls_context() -> ssl.SSLContext:
    """Trusts the CA bundle that the environment names, or else that of `requests`."""
    named = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"))
    bundle = next(filter(None, named), DEFAULT_CA_BUNDLE_PATH)
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _read(response: Response, largest: int) -> bytes:
    body = bytearray()
    # A server may send a body behind these all the same, as `requests` doesn't expect. Left unread, the reply
    # closes its connection, and nobody gets that body as the reply to another request.
    if response.status_code not in {*range(100, 200), 204, 304}:
        for number, piece in enumerate(response.iter_content(16 * 1024)):
            if number:
                sleep(0)  # gevent lets nobody else have a turn while a socket holds more
            body += piece
            if len(body) > largest:
                advice = f"It has more than {largest // 2**20} MiB, and no more is read."
                advice += " Ask for fewer memories, or delete some on that server."
                raise _StoppedError(_Failure("too large", is_bad_reply=True, advice=advice))
    return bytes(body)


def _seconds(retry_after: str) -> float | None:
    """The seconds that a Retry-After header asks for, given in seconds or as a date."""
    try:
        return Retry().parse_retry_after(retry_after)
    except (InvalidHeader, ValueError, OverflowError):
        return None


# What stands behind an error; of several, the first here.
_FAILURES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], _Failure], ...] = (
    (FileNotFoundError, _Failure("the CA bundle that the environment names does not exist")),
    ((InvalidProxyURL, InvalidSchema, ProxySchemeUnknown), _Failure("the environment names no valid proxy")),
    (ProxyError, _Failure("the proxy that the environment names failed", may_pass=True)),
    ((socket.gaierror, UnicodeError), _Failure("host name not found", may_pass=True)),
    (ConnectionRefusedError, _Failure("connection refused", may_pass=True)),
    (DecodeError, _Failure("broken compression", is_bad_reply=True)),
    ((ConnectionError, TimeoutError, ssl.SSLEOFError), _Failure("", may_pass=True)),
    (ssl.SSLError, _Failure("TLS failed")),
    (IncompleteRead, _Failure("cut off", is_bad_reply=True, may_pass=True)),
    ((HTTPException, InvalidHeader), _Failure("not HTTP", is_bad_reply=True)),
    (ProtocolError, _Failure("cut off", is_bad_reply=True, may_pass=True)),
    (ValueError, _Failure("not HTTP", is_bad_reply=True)),
    (BaseException, _Failure("", may_pass=True)),
)


def _why(error: BaseException) -> _Failure:
    """Say what stands behind an error, however the libraries wrapped it."""
    causes = [error]
    while cause := causes[-1].__context__:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            known = {10: "expired", 62: "for another host", 64: "for another host"}  # OpenSSL's X509_V_ERR_…
            return _Failure(f"TLS certificate {known.get(cause.verify_code, 'not trusted')}")
        # The words of http.client for a proxy that opens no tunnel; it has no exception for that.
        if str(cause).startswith("Tunnel connection failed: "):
            status = str(cause).split()[3]
            return _Failure(f"the proxy on the way answered {status}", may_pass=status.startswith("5"))
    return next(why for kinds, why in _FAILURES if any(isinstance(cause, kinds) for cause in causes))
