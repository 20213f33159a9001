"""Answers each search as MemOS's cloud does, always with the same memories, in a process of its own.

`python -m bench.fake_memos CERTIFICATE` writes the certificate of its authority to that file and one line of
JSON to standard output, the MemOS URL of each link by the link's name. It ends when its input is closed.
"""

import asyncio
import json
import os
import re
import ssl
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import trustme

from bench.relay import listen, relay

HTTP = "HTTP"
SLOW = "HTTP, a server that takes 1 s"
ROUND_TRIPS = {f"TLS, {1000 * seconds:g} ms": seconds for seconds in (0, 0.02, 0.05, 0.2)}
"""Links with TLS, by name: seconds of a round trip."""

_BODY = (Path(__file__).parent / "reply.json").read_bytes()
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)
LAST_MEMORY = "and at most six choices"
"""Words of the last memory in this: whoever has them has read all of it."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float = 0) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            [length] = _LENGTH.findall(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(int(length))
            if seconds:
                await asyncio.sleep(seconds)
            writer.write(RESPONSE)
    writer.close()


async def _serve(certificate: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    secure = await listen(_answer, tls)
    ports = {HTTP: await listen(_answer), SLOW: await listen(partial(_answer, seconds=1))}
    for link, round_trip in ROUND_TRIPS.items():
        ports[link] = await relay(secure, round_trip) if round_trip else secure
    schemes = {link: "https" if link in ROUND_TRIPS else "http" for link in ports}
    urls = {link: f"{schemes[link]}://127.0.0.1:{port}/openmem/v1" for link, port in ports.items()}
    print(json.dumps(urls), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    # At once: asyncio would report each connection that is still open.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
