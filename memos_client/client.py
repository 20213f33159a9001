"""The one place that knows HTTP: sends requests to MemOS, and makes a result or an error of the reply."""

import json
import os
import random
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from requests.utils import (
    DEFAULT_CA_BUNDLE_PATH,
    get_auth_from_url,
    get_environ_proxies,
    select_proxy,
)
from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout, make_headers
from urllib3.exceptions import HTTPError

from memos_client.connections import (
    CONNECT_SECONDS,
    CUT_OFF,
    LARGEST_REPLY,
    Exchange,
    Patience,
    PlainPool,
    TlsPool,
    current_exchange,
    misfit,
    why_no_answer,
)
from memos_client.dialects import dialect_for
from memos_client.envelope import content
from memos_client.errors import MemosConnectionError, MemosError, not_understood
from memos_client.models import AddRequest, Credentials, SearchRequest
from memos_client.results import AddResult, SearchResult

SEARCH = Patience(silence=30, ceiling=60)
ADD = Patience(silence=30, ceiling=60)
# MemOS's own server waits for two waves of model calls before it answers (seen on MemoryOS 2.0.33).
SYNCHRONOUS_ADD = Patience(silence=120, ceiling=150)
PROBE = Patience(silence=15, ceiling=15, tries=1)

_MOST_SERVERS = 100
# As many as the calls that the SDK serves at once (MAX_WORKER of dify_plugin/config/config.py).
_MOST_CONNECTIONS = 1000
_FIRST_PAUSE = 0.2
_PASSING_STATUSES = {429, 502, 503, 504}
_CHUNK = 16 * 1024
# Replies beyond this size are read a few at a time: many at once would not fit into the memory that
# manifest.yaml asks for.
_SMALL_REPLY = 256 * 1024
_places_of_large_replies = threading.BoundedSemaphore(4)
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
        deadline = time.monotonic() + patience.ceiling
        tries = 0
        while True:
            tries += 1
            exchange = Exchange(patience, deadline, repeatable, fresh=tries > 1 or not repeatable)
            try:
                return self._exchange(path, body, exchange)
            except MemosError:
                pause = pause_before_repeat(exchange, tries)
                if pause is None or time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)

    def _exchange(self, path: str, body: Mapping[str, Any], exchange: Exchange) -> Any:
        """Send a request once, and return the `data` of its reply."""
        authorization = self._dialect.authorization
        current_exchange.set(exchange)
        reply = bytearray()
        try:
            with _pools(self._dialect.url).urlopen(
                "POST",
                self._dialect.url + path,
                body=json.dumps(body).encode(),
                headers=_HEADERS | ({"Authorization": authorization} if authorization else {}),
                timeout=Timeout(
                    connect=min(CONNECT_SECONDS, exchange.time_left()), read=exchange.call.silence
                ),
                preload_content=False,
                redirect=False,
                retries=False,
            ) as response:
                exchange.answered = True
                self._read(response, exchange, reply)
        except (HTTPError, OSError, ValueError) as error:
            # Frames that urllib3's exceptions keep alive would hold it until garbage is collected.
            reply.clear()
            raise self._no_reply(error, exchange) from None
        exchange.passing = response.status in _PASSING_STATUSES
        exchange.retry_after = _retry_after(response.headers.get("Retry-After", ""))
        return content(self._dialect.host, response.status, reply, authorization.split()[1:])

    def _read(self, response: BaseHTTPResponse, exchange: Exchange, reply: bytearray) -> None:
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared[:20]) > LARGEST_REPLY:
            raise not_understood(self._dialect.host, "too large")
        with ExitStack() as place:
            for chunk in response.stream(_CHUNK, decode_content=True):
                if len(reply) <= _SMALL_REPLY < len(reply) + len(chunk):
                    if not _places_of_large_replies.acquire(timeout=exchange.time_left()):
                        raise TimeoutError
                    place.callback(_places_of_large_replies.release)
                reply += chunk
                if len(reply) > LARGEST_REPLY:
                    raise not_understood(self._dialect.host, "too large")

    def _no_reply(self, error: Exception, exchange: Exchange) -> MemosError:
        """Tell what stands behind an exchange that came to no whole reply."""
        host = self._dialect.host
        if what := misfit(error, exchange):
            exchange.passing = what == CUT_OFF
            return not_understood(host, what)
        reason, exchange.passing = why_no_answer(error, exchange)
        fact = f"No answer from MemOS at {host} ({reason})."
        if exchange.sent and not exchange.repeatable:
            fact += " The messages may have been stored all the same."
        return MemosConnectionError(fact)


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
def _pools(url: str) -> PoolManager:
    """The pools of kept-alive connections that lead to `url`: direct, or through the environment's proxy."""
    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None)) or ""
    proxy = f"http://{proxy}" if proxy and "://" not in proxy else proxy
    return _pools_through(proxy, secure=url.startswith("https:") or proxy.startswith("https:"))


@cache
def _pools_through(proxy: str, *, secure: bool) -> PoolManager:
    """One pool for each server, shared by all calls and credentials: a connection carries nobody's key."""
    context = _tls_context() if secure else None
    if proxy:
        login = make_headers(proxy_basic_auth=":".join(get_auth_from_url(proxy))) if "@" in proxy else None
        pools: PoolManager = ProxyManager(
            proxy,
            num_pools=_MOST_SERVERS,
            maxsize=_MOST_CONNECTIONS,
            proxy_headers=login,
            ssl_context=context,
            proxy_ssl_context=context,
        )
    else:
        pools = PoolManager(num_pools=_MOST_SERVERS, maxsize=_MOST_CONNECTIONS, ssl_context=context)
    pools.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return pools


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
