"""What can go wrong between the plugin and a MemOS server, and what must come of it."""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from memos_client.transport import LARGEST_REPLY, Limits
from tests.faults.faulty_server import Play, Wire, good_reply, head, http

CONNECT = 0.7
LIMITS = {
    "SEARCH": Limits(2.5, CONNECT),
    "ADD": Limits(2.5, CONNECT),
    "SYNCHRONOUS_ADD": Limits(5, CONNECT),
    "CONTINUE": Limits(1.5, CONNECT),
    "PROBE": Limits(1.5, CONNECT, tries=1),
}
"""The time limits of `memos_client.client` with which the plugin runs here."""

DRIP = 0.3
"""Seconds between the bytes of a slow reply."""

ELSEWHERE = "redirects to http://{localhost}"
"""Where a redirect points to: the server by another name."""

STORED = " The messages may have been stored all the same."
"""What an error of an add says besides, when they may."""

NO_ANSWER = "MemosConnectionError"
REPLY = "MemosReplyError"
INPUT = "MemosInputError"
KEY = "MemosAuthenticationError"
QUOTA = "MemosQuotaError"
SERVER = "MemosServerError"

DROPPED = "connection dropped"
SILENT = "silent for 2.5 s"
LATE = "not complete within 2.5 s"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Args:
        name: What a report calls it.
        play: What the server does; where no server answers, the way in which it does not: "refuses",
            "is unknown", "is looked up in vain", "accepts nothing".
        kind: The class of the error that must come of it; "" for none.
        fact: What its message must say: all of it behind "MemOS at <host> " or, for a MemosConnectionError,
            the reason in parentheses; "" where any words will do.
        tries: How often a search must be sent.
        sent: Whether the request may have reached MemOS, so that an add must not be sent again.
        accepted: Whether an asynchronous add takes it for a yes.
        certificate: Which of the fixture `certificates` the server speaks TLS with.
        scheme: What the URL says, where it does not fit what the server speaks.
        greedy: The server sends without a pause, to keep the plugin from doing anything else.
    """

    name: str
    play: Play | str
    kind: str = ""
    fact: str = ""
    tries: int = 1
    sent: bool = True
    accepted: bool = False
    certificate: str = ""
    scheme: str = ""
    greedy: bool = False


def unanswered(name: str, play: Play | str, why: str = "", tries: int = 1, **others: Any) -> Fault:
    """No answer, and why the message says that none came."""
    return Fault(name, play, NO_ANSWER, why, tries, **others)


def misfit(name: str, play: Play, what: str = "", tries: int = 1, **others: Any) -> Fault:
    """A reply that is not understood, and what the message says of it."""
    fact = f"sent a reply that is not understood ({what})" if what else ""
    return Fault(name, play, REPLY, fact, tries, **others)


# Plays. Each reads a request and answers it, or does not.


def says(body: Any = b"", status: int = 200, headers: Mapping[str, Any] | None = None) -> Play:
    """Answer every request with this."""

    def play(wire: Wire) -> None:
        wire.request()
        wire.send(http(body, status, headers))

    return play


def sends(*pieces: bytes, pause: float = 0, then: Callable[[Wire], None] = Wire.close) -> Play:
    """Answer with these bytes, `pause` seconds before each piece, and then close, reset, wait or go on."""

    def play(wire: Wire) -> None:
        wire.request()
        wire.send(*pieces, pause=pause)
        then(wire)

    return play


def waits(wire: Wire) -> None:
    """Do nothing until somebody ends the connection."""
    wire.wait(3600)


def goes_on(_: Wire) -> None:
    """Keep the connection alive for another request."""


def hangs_up(end: Callable[[Wire], None]) -> Play:
    """End the connection at the first byte of a request."""

    def play(wire: Wire) -> None:
        wire.byte()
        end(wire)

    return play


def refuses_tls(wire: Wire) -> None:
    """Take a TLS handshake for a bad request."""
    wire.byte()
    wire.send(http(HTML, 400))
    wire.close()


def shakes_hands_slowly(wire: Wire) -> None:
    """Answer a TLS handshake with a record of 16 KiB, byte by byte."""
    wire.byte()
    wire.send(b"\x16\x03\x03\x40\0", *[b"\0"] * 99, pause=DRIP)


def resets_at_once(wire: Wire) -> None:
    """End the connection with an RST as soon as a request comes in."""
    wire.wait_for_bytes()
    wire.reset()


def drips(start: bytes, byte_by_byte: bytes) -> Play:
    """Answer with `start`, and the rest so slowly that it does not end in time."""
    assert len(byte_by_byte) * DRIP > 2 * LIMITS["SYNCHRONOUS_ADD"].total
    return sends(start, *(bytes([byte]) for byte in byte_by_byte), pause=DRIP)


def pours(start: bytes, piece: bytes, most: int = 64 * LARGEST_REPLY) -> Play:
    """Answer with `start`, and then with `piece` again and again: `most` bytes, if the client takes them."""

    def play(wire: Wire) -> None:
        wire.request()
        wire.send(start)
        wire.pour(piece, most)

    return play


def changes(change: Callable[[bytes], bytes], headers: Mapping[str, Any] | None = None) -> Play:
    """Answer as MemOS would, but change the JSON text on its way."""

    def play(wire: Wire) -> None:
        wire.send(http(change(json.dumps(good_reply(wire.request())).encode()), headers=headers))

    return play


def replies_twice(wire: Wire) -> None:
    """Answer as MemOS would, and go on with a reply that nobody asked for."""
    reply = http(good_reply(wire.request()))
    wire.send(reply + reply)


def announces(status: int, pause: float = 0) -> Play:
    """Answer as MemOS would, but first send a reply that only announces it (RFC 9110, section 15.2)."""

    def play(wire: Wire) -> None:
        arrival = wire.request()
        wire.send(head(status, {"Link": "</style.css>; rel=preload"}))
        wire.send(http(good_reply(arrival)), pause=pause)

    return play


def redirects(status: int) -> Play:
    """Send the client to another host, which is this server by another name: it counts who follows."""

    def play(wire: Wire) -> None:
        wire.request()
        wire.send(http(b"", status, {"Location": f"http://localhost:{wire.port}/elsewhere?x=1"}))

    return play


def filled(length: int) -> Callable[[bytes], bytes]:
    """Fill a JSON text up with spaces."""
    return lambda text: text.ljust(length)


def packed(length: int) -> Callable[[bytes], bytes]:
    """Fill a JSON text up with spaces, and compress it."""
    return lambda text: gzip.compress(text.ljust(length))


def field(text: bytes) -> Play:
    """Answer as MemOS would, with a field in front of those of the JSON object."""
    return changes(lambda reply: b"{" + text + b", " + reply[1:])


def sized(length: int | str) -> bytes:
    """Write the start of a reply of this length."""
    return head(headers={"Content-Length": length})


def in_hours(hours: float) -> str:
    """Write a time as HTTP does."""
    return format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)


GZIP = {"Content-Encoding": "gzip"}
GZIP_TWICE = {"Content-Encoding": "gzip, gzip"}
CHUNKED = head(headers={"Transfer-Encoding": "chunked"})
GZIPPED = head(headers=GZIP)
UNSIZED = head(headers={"Content-Type": "application/json"})
SIZED = sized(99)
TOO_SHORT = {"Content-Length": 20}
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
BOMB = gzip.compress(b" " * 64 * LARGEST_REPLY)
WORDS = "Words of the server"
DETAIL = {
    "code": 422,
    "message": "Parameter validation error",
    "detail": [
        {"loc": ["body", "query"], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "top_k"], "msg": "Input should be greater than 0", "type": "greater_than"},
    ],
    "data": None,
}

NOT_IN_TIME = f"no connection within {CONNECT} s"
_NO_CONNECTION = (
    unanswered("connection refused", "refuses", "connection refused", 3, sent=False),
    unanswered("host name unknown", "is unknown", "host name not found", 3, sent=False),
    unanswered("silent name server", "is looked up in vain", NOT_IN_TIME, sent=False),
    unanswered("connect timeout", "accepts nothing", NOT_IN_TIME, sent=False),
    *(
        unanswered(f"TLS certificate {name}", says(), f"TLS certificate {why}", sent=False, certificate=which)
        for name, why, which in (
            ("of an unknown authority", "not trusted", "untrusted"),
            ("expired", "expired", "expired"),
            ("of another host", "for another host", "other host"),
        )
    ),
    *(
        unanswered(name, play, why, tries, sent=False, scheme="https")
        for name, play, why, tries in (
            ("https to a server that speaks http", refuses_tls, "TLS failed", 1),
            ("TLS handshake closed", Wire.close, "no connection", 3),
            ("TLS handshake reset", hangs_up(Wire.reset), "no connection", 3),
            ("TLS handshake never answered", waits, NOT_IN_TIME, 1),
            ("TLS handshake byte by byte", shakes_hands_slowly, NOT_IN_TIME, 1),
        )
    ),
)
_ENDS = (
    unanswered("reset over TLS", sends(then=Wire.reset), DROPPED, 2, certificate="good"),
    unanswered("closed over TLS", sends(), DROPPED, 2, certificate="good"),
    misfit("closed mid-reply over TLS", sends(SIZED, b"{"), "cut off", 2, certificate="good"),
    unanswered("reset before the request was read", resets_at_once, DROPPED, 2),
    unanswered("reset amid the request", hangs_up(Wire.reset), DROPPED, 2),
    unanswered("reset after the request was read", sends(then=Wire.reset), DROPPED, 2),
    unanswered("closed after the request was read", sends(), DROPPED, 2),
    misfit("closed amid the headers", sends(b"HTTP/1.1 200 OK\r\nContent-Ty"), "empty"),
    misfit("closed mid-reply", sends(SIZED, b'{"code": 0'), "cut off", 2),
    misfit("closed amid a chunk", sends(CHUNKED, b'ff\r\n{"code": 0'), "cut off", 2),
    misfit("closed between two chunks", sends(CHUNKED, b'a\r\n{"code": 0\r\n'), "cut off", 2),
    unanswered("reset mid-reply", sends(SIZED, b"{", b" ", pause=0.05, then=Wire.reset), DROPPED, 2),
)
# Nobody sees the beginning of a head, so one that never ends is silence.
_SLOW = (
    unanswered("silence", sends(then=waits), SILENT),
    unanswered("silence amid the headers", sends(b"HTTP/1.1 200 OK\r\nServer:", then=waits), SILENT),
    unanswered("silence mid-reply", sends(SIZED, b"{", then=waits), LATE),
    unanswered("status line byte by byte", drips(b"HTTP/1.1 200 ", b"O" * 99), SILENT),
    unanswered("headers byte by byte", drips(b"HTTP/1.1 200 OK\r\nServer: ", b"x" * 99), SILENT),
    unanswered("body byte by byte", drips(UNSIZED, b" " * 99), LATE),
    unanswered("byte by byte over TLS", drips(UNSIZED, b" " * 99), LATE, certificate="good"),
    unanswered("chunks byte by byte", drips(CHUNKED, b"1\r\n \r\n" * 17), LATE),
    unanswered("gzip byte by byte", drips(GZIPPED, BOMB[:99]), LATE),
    unanswered("announcements byte by byte", drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4), SILENT),
)
_ENDLESS = (
    *(
        misfit(f"endless {name}", pours(start, piece), what, greedy=True)
        for name, start, piece, what in (
            ("headers", b"HTTP/1.1 200 OK\r\n", b"Server: memos\r\n" * 999, "not HTTP"),
            ("header", b"HTTP/1.1 200 OK\r\nServer: ", b"x" * 9999, "not HTTP"),
            ("status line", b"HTTP/1.1 200 ", b"x" * 9999, "not HTTP"),
            ("body", UNSIZED, b" " * 65536, "too large"),
            ("chunks", CHUNKED, b"8000\r\n" + b" " * 0x8000 + b"\r\n", "too large"),
        )
    ),
    misfit("endless size of a chunk", pours(CHUNKED, b"0" * 9999), "cut off", 2, greedy=True),
    unanswered("endless chunks of one byte", pours(CHUNKED, b"1\r\n \r\n" * 9999), LATE, greedy=True),
    # These the libraries read by themselves, and gevent lets nobody else have a turn while a socket holds
    # more: so what is poured has an end here, before the time limit.
    *(
        unanswered(f"endless {name}", pours(start, piece, most=LARGEST_REPLY // 4), why, greedy=True)
        for name, start, piece, why in (
            ("chunk of size -1", CHUNKED + b"-1\r\n", b" " * 65536, LATE),
            ("trailers", CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Trailer: x\r\n" * 999, LATE),
            ("announcements", b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999, SILENT),
            ("gzip of nothing", GZIPPED, gzip.compress(b"") * 999, LATE),
        )
    ),
)
_LARGE = (
    misfit("10 GB declared", pours(sized(10**10), b" " * 65536), "too large"),
    unanswered("impossible length declared", sends(sized("9" * 40), b"{}", then=waits), LATE),
    misfit("gzip bomb", says(BOMB, headers=GZIP), "too large"),
    misfit("gzip bomb in gzip", says(gzip.compress(BOMB), headers=GZIP_TWICE), "too large"),
    Fault("1 MiB", changes(filled(LARGEST_REPLY))),
    Fault("1 MiB in gzip", changes(packed(LARGEST_REPLY), GZIP)),
    misfit("1 MiB and a byte", changes(filled(LARGEST_REPLY + 1)), "too large"),
    misfit("1 MiB and a byte in gzip", changes(packed(LARGEST_REPLY + 1), GZIP), "too large"),
)
_FRAMING = (
    misfit("Content-Length too small", changes(filled(0), TOO_SHORT), "not a JSON object"),
    misfit("Content-Length much too small", changes(filled(99_999), TOO_SHORT), "not a JSON object"),
    Fault("a second reply behind the first", replies_twice),
    misfit("Content-Length twice", sends(sized("5\r\nContent-Length: 7"), b"{}   "), "not HTTP"),
    unanswered("Content-Length too large, and silence", sends(sized(9999), b"{", then=waits), LATE),
    misfit("chunked garbage", sends(CHUNKED, b"zz\r\nyy\r\n"), "cut off", 2),
    misfit("chunk of a negative size", sends(CHUNKED, b"-5\r\nyy\r\n"), "not HTTP"),
    misfit("gzip that is none", says(b"{}", headers=GZIP), "broken compression"),
    misfit("gzip cut off", says(gzip.compress(b" " * 99999)[:99], headers=GZIP)),
    misfit("unknown compression", says(b"\x01\x02", headers={"Content-Encoding": "x-memos"})),
    misfit("another protocol", sends(b"SSH-2.0-OpenSSH_9.6\r\n", then=waits), "not HTTP"),
    misfit("noise", sends(bytes(range(256))), "not HTTP"),
    misfit("unknown version of HTTP", sends(b"HTTP/7.0 200 OK\r\n\r\n{}"), "not HTTP"),
    misfit("status that is no number", sends(b"HTTP/1.1 good\r\n\r\n{}"), "not HTTP"),
    misfit("status 999", says(b"{}", 999), "HTTP 999"),
)
_BODIES = (
    misfit("HTML with 200", says(HTML), "HTML"),
    Fault("HTML with 502", says(HTML, 502), SERVER, "answered 502: Bad Gateway", 2),
    Fault("HTML with 403", says(HTML, 403), KEY, "answered 403 with a web page"),
    Fault("HTML with 404", says(HTML, 404), REPLY, "answered 404: Not Found"),
    misfit("empty 200", says(), "empty"),
    misfit("empty 202", says(status=202), "empty", accepted=True),
    misfit("empty 204", sends(head(204), then=goes_on), "empty", accepted=True),
    misfit("white space", says(b" \r\n "), "empty"),
    *(
        misfit(f"{text} instead of an object", says(text.encode()), "not a JSON object")
        for text in ("[]", '"ok"', "42", "null", "true", "ok")
    ),
    *(
        misfit(f"data: {json.dumps(data)}", says({"code": 0, "message": "ok", "data": data}))
        for data in (None, "ok", 42, True, [1], [None])
    ),
    misfit("no data", says({"code": 0, "message": "ok"})),
    misfit("empty object", says({})),
    misfit("truncated JSON", changes(lambda text: text[:-2]), "not a JSON object"),
    misfit("two JSON objects", changes(lambda text: text * 2), "not a JSON object"),
    misfit(
        "JSON nested 100,000 deep", field(b'"x": ' + b"[" * 100_000 + b"]" * 100_000), "not a JSON object"
    ),
    Fault("JSON nested 100 deep", field(b'"x": ' + b"[" * 100 + b"]" * 100)),
    misfit("NaN", field(b'"x": NaN'), "not a JSON object"),
    misfit("Infinity", field(b'"x": -Infinity'), "not a JSON object"),
    Fault("number beyond a double", field(b'"x": 1e999')),
    misfit("number of 5,000 digits", field(b'"x": ' + b"9" * 5000), "not a JSON object"),
    Fault("duplicate keys, the last one good", field(b'"code": 50000, "data": 7')),
    Fault(
        "duplicate keys, the last one bad",
        changes(lambda text: text[:-1] + b', "code": 50000}'),
        SERVER,
        "answered 50000: ok",
    ),
    misfit("invalid UTF-8", field(b'"x": "\xff\xfe"'), "not a JSON object"),
    misfit("lone surrogate", field(rb'"x": "\ud800"')),
    misfit("byte order mark", changes(lambda text: b"\xef\xbb\xbf" + text)),
    misfit("UTF-16", changes(lambda text: text.decode().encode("utf-16")), "not a JSON object"),
)
# `requests` skips 100 alone, and takes another 1xx for the reply; what comes behind it reaches nobody.
_ANNOUNCED = (
    *(
        Fault(f"{status}{later}", announces(status, pause), *expected)
        for status, expected in ((100, ()), (102, (REPLY,)), (103, (REPLY,)), (199, (REPLY,)))
        for later, pause in ((" and the reply", 0), (", and later the reply", 0.3))
    ),
    misfit("103 and the end", sends(head(103))),
    misfit("101, and later another protocol", sends(head(101), b"\x81\x05hello", pause=0.3)),
    misfit("101 and another protocol", sends(head(101), b"\x81\x05hello")),
)
_STATUSES = (
    *(
        Fault(
            f"HTTP {status}",
            says({"detail": WORDS}, status),
            kind,
            f"answered {status}: {WORDS}",
            tries,
        )
        for tries, kind, statuses in (
            (1, INPUT, (400, 409, 413)),
            (1, KEY, (401, 403)),
            (1, REPLY, (404, 405)),
            (2, QUOTA, (429,)),
            (1, SERVER, (500,)),
            (2, SERVER, (502, 503, 504)),
        )
        for status in statuses
    ),
    *(
        Fault(f"redirect {status} to another host", redirects(status), REPLY, f"{ELSEWHERE} (HTTP {status})")
        for status in (301, 302, 303, 307, 308)
    ),
    Fault(
        "redirect 301 to https",
        says(status=301, headers={"Location": "https://memos.example:8443/product?key=x"}),
        REPLY,
        "redirects to https://memos.example:8443 (HTTP 301)",
    ),
    misfit("redirect to a path", says(status=302, headers={"Location": "/product"}), "HTTP 302"),
    Fault("HTTP 401 without a body", says(status=401), KEY, "answered 401: Unauthorized"),
    Fault("HTTP 500 without a body", says(status=500), SERVER, "answered 500: Internal Server Error"),
    Fault(
        "HTTP 422 with MemOS's list",
        says(DETAIL, 422),
        INPUT,
        "answered 422: query: Field required; top_k: Input should be greater than 0",
    ),
    *(
        Fault(
            f"HTTP {status} with Retry-After: {what}",
            says({"code": status, "message": "Busy"}, status, {"Retry-After": value}),
            kind,
            f"answered {status}: Busy",
            tries,
        )
        for status, kind in ((429, QUOTA), (503, SERVER))
        for what, value, tries in (
            ("0", "0", 2),
            ("1", "1", 2),
            ("6 hours", "21600", 1),
            ("a date in 6 hours", in_hours(6), 1),
            ("a date gone by", in_hours(-6), 2),
            ("nonsense", "tomorrow", 2),
        )
    ),
)

# MemOS's table (memos-docs.openmem.net, "Error codes"), by the class that each belongs to.
CODES = {
    INPUT: (
        *(40000, 40001, 40002, 40003, 40006, 40007, 40008, 40009, 40010, 40011, 40012, 40013, 40020),
        *(40303, 40305, 40306, 40307, 40308),
    ),
    KEY: (40100, 40103, 40130, 40132),
    QUOTA: (40300, 40301, 40302, 40304, 40309),
    SERVER: (
        *(50000, 50002, 50004, 50005, 50143, 50144, 50145),
        *(50103, 50104, 50105, 50107, 50120, 50123, 50131),
    ),
}


def coded(name: str, code: Any, kind: str, fact: str, message: str = WORDS, status: int = 200) -> Fault:
    """A code of MemOS's in the body of a reply."""
    return Fault(
        name, says({"code": code, "message": message, "data": None}, status), kind, f"answered {fact}"
    )


_CODES = (
    *(
        coded(f"code {code} inside HTTP 200", code, kind, f"{code}: {WORDS}")
        for kind, codes in CODES.items()
        for code in codes
    ),
    coded("code 40132 as text", "40132", KEY, f"40132: {WORDS}"),
    coded("code 40132 inside HTTP 500", 40132, KEY, f"40132: {WORDS}", status=500),
    coded("code 50004 inside HTTP 401", 50004, SERVER, f"50004: {WORDS}", status=401),
    coded("code 0 inside HTTP 500", 0, SERVER, "500: ok", "ok", status=500),
    coded("code 40000 with a placeholder", 40000, INPUT, "40000: Invalid request parameters", "Invalid{0}"),
    coded("code 50000 without words", 50000, SERVER, "50000: Internal error", ""),
    misfit("unknown code", says({"code": 7, "message": "No"}), "code 7: No"),
)

FAULTS = (
    *_NO_CONNECTION,
    *_ENDS,
    *_SLOW,
    *_ENDLESS,
    *_LARGE,
    *_FRAMING,
    *_BODIES,
    *_ANNOUNCED,
    *_STATUSES,
    *_CODES,
)
