"""The one place that knows HTTP: sends requests to MemOS, and makes a result or an error of the reply."""

import json
import os
import random
import ssl
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache, partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests.utils import (
    DEFAULT_CA_BUNDLE_PATH,
    get_auth_from_url,
    get_environ_proxies,
    select_proxy,
)
from urllib3 import make_headers
from urllib3.connection import ProxyConfig
from urllib3.exceptions import HTTPError, ProxySchemeUnknown
from urllib3.util import Url, parse_url

from memos_client.connections import (
    CUT_OFF,
    LARGEST_REPLY,
    NOT_HTTP,
    Exchange,
    Patience,
    PlainConnection,
    Response,
    Server,
    TlsConnection,
    current_exchange,
    misfit,
    why_no_answer,
)
from memos_client.dialects import dialect_for
from memos_client.envelope import content
from memos_client.errors import MemosConnectionError, MemosError, no_room, not_understood
from memos_client.models import AddRequest, Credentials, SearchRequest
from memos_client.results import AddResult, SearchResult

SEARCH = Patience(silence=30, ceiling=60)
ADD = Patience(silence=30, ceiling=60)
# MemOS's own server waits for two waves of model calls before it answers (seen on MemoryOS 2.0.33).
SYNCHRONOUS_ADD = Patience(silence=120, ceiling=150)
PROBE = Patience(silence=15, ceiling=15, tries=1)

_MOST_SERVERS = 100
_FIRST_PAUSE = 0.2
_PASSING_STATUSES = {429, 502, 503, 504}
# Bytes of all replies that are being read: these and a thousand calls fit into the memory that manifest.yaml
# asks for. Beyond them, only small replies are read on. None waits for another: that one may be slow.
_MOST_HELD = 100 * 1024 * 1024
_SMALL_REPLY = 32 * 1024
_PROBE_USER = "dify-credentials-check"
_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Content-Type": "application/json",
    "User-Agent": "dify-plugin-memos",
}


class MemosClient:
    """Talks to the MemOS that the credentials name.

    Args:
        credentials: `memos_url`, `memos_api_key` and `deployment`, as Dify keeps them.

    Raises:
        MemosInputError: The credentials can't be right; nothing was sent.
    """

    def __init__(self, credentials: Mapping[str, Any]) -> None:
        self._dialect = dialect_for(Credentials.parse(credentials))
        url = urlsplit(self._dialect.url)
        self._origin, self._path = f"{url.scheme}://{url.netloc}", url.path

    def search(self, request: SearchRequest, patience: Patience = SEARCH) -> SearchResult:
        """Find what MemOS remembers.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        body = self._dialect.search_body(request)
        data = self._call(self._dialect.search_path, body, patience, repeatable=True)
        return self._dialect.read_search(data, request)

    def add(self, request: AddRequest) -> AddResult:
        """Have MemOS remember messages; they are sent once, unless they certainly did not arrive.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        body = self._dialect.add_body(request)
        patience = ADD if request.async_mode else SYNCHRONOUS_ADD
        data = self._call(self._dialect.add_path, body, patience, repeatable=False)
        return self._dialect.read_add(data, request)

    def probe(self) -> None:
        """Prove URL and key with a search that finds nothing and changes nothing.

        Raises:
            MemosError: One of its six kinds; see `memos_client.errors`.
        """
        request = SearchRequest(
            query="hello", user_id=_PROBE_USER, memory_limit_number=1, include_preference=False
        )
        self.search(request, PROBE)

    def _call(self, path: str, body: Mapping[str, Any], patience: Patience, *, repeatable: bool) -> Any:
        """Send a request as often as it may be sent, and return the `data` of its reply."""
        target, payload = self._path + path, json.dumps(body).encode()
        deadline = time.monotonic() + patience.ceiling
        tries = 0
        while True:
            tries += 1
            exchange = Exchange(patience, deadline, repeatable, fresh=tries > 1 or not repeatable)
            try:
                return self._exchange(target, payload, exchange)
            except MemosError:
                pause = pause_before_repeat(exchange, tries)
                if pause is None or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)

    def _exchange(self, target: str, body: bytes, exchange: Exchange) -> Any:
        """Send a request once, and return the `data` of its reply."""
        authorization = self._dialect.authorization
        headers = {"Host": self._dialect.host, **_HEADERS}
        if authorization:
            headers["Authorization"] = authorization
        current_exchange.set(exchange)
        try:
            server = _server(self._origin)
            with server.connection() as connection:
                response = connection.post(server.prefix + target, body, headers | server.headers)
                reply = self._read(response, exchange)
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            raise self._no_reply(error, exchange) from None
        if response.status in _PASSING_STATUSES:
            exchange.passing = True
            exchange.retry_after = _retry_after(response.headers.get("Retry-After", ""))
        return content(self._dialect.host, response.status, reply, authorization.split()[1:])

    def _read(self, response: Response, exchange: Exchange) -> bytes:
        host = self._dialect.host
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared[:20]) > LARGEST_REPLY:
            raise not_understood(host, "too large", exchange.doubt)
        pieces, size = list[bytes](), 0
        try:
            for piece in response.pieces():
                pieces.append(piece)
                size += len(piece)
                held = _held.add(len(piece))
                if size > LARGEST_REPLY:
                    raise not_understood(host, "too large", exchange.doubt)
                if held > _MOST_HELD and size > _SMALL_REPLY:
                    exchange.passing = True
                    raise no_room(host, exchange.doubt)
            return b"".join(pieces)
        finally:
            _held.add(-size)

    def _no_reply(self, error: Exception, exchange: Exchange) -> MemosError:
        """Tell what stands behind an exchange that came to no whole reply."""
        host = self._dialect.host
        if what := misfit(error):
            exchange.passing = what == CUT_OFF
            return not_understood(host, what, "" if what == NOT_HTTP else exchange.doubt)
        reason, exchange.passing = why_no_answer(error, exchange)
        return MemosConnectionError(f"No answer from MemOS at {host} ({reason}).{exchange.doubt}")


class _Held:
    """The bytes of all replies that are being read."""

    def __init__(self) -> None:
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> int:
        """Count `size` bytes more, and return how many these are in all."""
        with self._lock:
            self._bytes += size
            return self._bytes


_held = _Held()


def pause_before_repeat(exchange: Exchange, tries: int) -> float | None:
    """Decide whether a failed request is sent again: the seconds until then, or None.

    What never left may be tried as often as the call's patience says. What may have arrived is repeated once,
    and only where a second copy does no harm.
    """
    most_tries = min(exchange.call.tries, 2) if exchange.sent else exchange.call.tries
    if tries >= most_tries or not exchange.passing or (exchange.sent and not exchange.repeatable):
        return None
    if exchange.retry_after is not None:
        return exchange.retry_after
    # Many calls fail at once when a server restarts: they don't come back at once.
    return _FIRST_PAUSE * (1 << (tries - 1)) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


@lru_cache(maxsize=_MOST_SERVERS)
def _server(origin: str) -> Server:
    """The server at `origin`, such as "https://memos.example:8000": direct, or by the environment's proxy."""
    there = urlsplit(origin)
    named = select_proxy(origin, get_environ_proxies(origin, no_proxy=None))
    if not named:
        return Server(partial(_connection, there.scheme, str(there.hostname), there.port))
    proxy = parse_url(named if "://" in named else f"http://{named}")
    if proxy.scheme not in {"http", "https"}:
        raise ProxySchemeUnknown(proxy.scheme)
    host = str(proxy.host).strip("[]")
    login = make_headers(proxy_basic_auth=":".join(get_auth_from_url(proxy.url))) if proxy.auth else {}

    def tunnel() -> PlainConnection:
        connection = _connection("https", host, proxy.port, proxy)
        connection.set_tunnel(str(there.hostname), there.port, login, str(proxy.scheme))
        return connection

    if there.scheme == "https":
        return Server(tunnel)
    forwarding = partial(_connection, str(proxy.scheme), host, proxy.port, proxy)
    return Server(forwarding, prefix=origin, headers=login)


def _connection(scheme: str, host: str, port: int | None, proxy: Url | None = None) -> PlainConnection:
    if scheme == "http":
        return PlainConnection(host, port, proxy=proxy)
    context = _tls_context()
    config = ProxyConfig(
        context, use_forwarding_for_https=False, assert_hostname=None, assert_fingerprint=None
    )
    return TlsConnection(host, port, proxy=proxy, proxy_config=config, ssl_context=context)


@cache
def _tls_context() -> ssl.SSLContext:
    """One for all connections, since reading the certificates takes longer than a call."""
    named = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"))
    bundle = next(filter(None, named), DEFAULT_CA_BUNDLE_PATH)
    if Path(bundle).is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)


def _retry_after(value: str) -> float | None:
    """The seconds that a Retry-After header asks for, given in seconds or as a date."""
    if value.isdecimal():
        return float(value[:10])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
