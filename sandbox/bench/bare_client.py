"""Sends requests and reads replies on connections that it keeps, and does no more: the limit of the wire.

Usage: `python -m sandbox.bench.bare_client [CA.pem]`. Each line on standard input is a JSON object
`{"url", "calls", "callers"}`, answered by one line `{"wall", "seconds"}`: in all, and for each call.
"""

import json
import re
import socket
import ssl
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODY = b'{"query": "Where does the user like to eat?", "user_id": "user-1", "source": "Dify"}'
_CHUNK = 1 << 20


class BareClient:
    """Kept-alive connections to one MemOS URL.

    Args:
        url: the URL.
        certificate: of the authority that a server with TLS is trusted for.
    """

    def __init__(self, url: str, certificate: str | None) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._tls = ssl.create_default_context(cafile=certificate) if parts.scheme == "https" else None
        self._idle: deque[socket.socket] = deque()
        self._request = (
            f"POST {parts.path}/search/memory HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Token mpg-test\r\nContent-Length: {len(_BODY)}\r\n\r\n"
        ).encode() + _BODY

    def call(self) -> float:
        """Search once; returns the seconds that it took.

        Raises:
            RuntimeError: The answer is none, or not the one that was expected.
        """
        started = time.perf_counter()
        connection = self._idle.pop() if self._idle else self._connect()
        connection.sendall(self._request)
        reply = b""
        while not _is_whole(reply):
            data = connection.recv(_CHUNK)
            if not data:
                raise RuntimeError("the stand-in hung up")
            reply += data
        self._idle.append(connection)
        return time.perf_counter() - started

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return (
            self._tls.wrap_socket(connection, server_hostname=self._address[0]) if self._tls else connection
        )


def _is_whole(reply: bytes) -> bool:
    head, blank, body = reply.partition(b"\r\n\r\n")
    if not blank:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the stand-in answered {head.decode()}")
    [length] = _LENGTH.findall(head)
    return len(body) >= int(length)


def main() -> None:
    """Do what standard input says."""
    certificate = sys.argv[1] if len(sys.argv) > 1 else None
    clients: dict[str, BareClient] = {}
    threads: dict[int, ThreadPoolExecutor] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        client = clients.setdefault(command["url"], BareClient(command["url"], certificate))
        callers, calls = command["callers"], range(command["calls"])
        started = time.perf_counter()
        if callers == 1:
            seconds = [client.call() for _ in calls]
        else:
            executor = threads.setdefault(callers, ThreadPoolExecutor(callers))
            seconds = list(executor.map(lambda _, client=client: client.call(), calls))
        print(json.dumps({"wall": time.perf_counter() - started, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
