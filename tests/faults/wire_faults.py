"""What can go wrong between the plugin and a MemOS server, and what must come of it."""

import gzip
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.faults.faulty_server import Play, Wire, good_reply, head, http

# The time limits with which the plugin runs here, in seconds: the proportions are those of the real ones.
CONNECT_SECONDS = 0.7
SEARCH = ADD = {"silence": 1.0, "ceiling": 2.5}
SYNCHRONOUS_ADD = {"silence": 1.5, "ceiling": 6.0}
PROBE = {"silence": 1.5, "ceiling": 1.5, "tries": 1}

DRIP = 0.3
"""Seconds between the bytes of a slow reply: never a silence, and never the end before the ceiling."""

LARGEST_REPLY = 4 * 1024 * 1024
STORED = " The messages may have been stored all the same."
"""What an error of an add says besides, when the request may have arrived."""

DONE = ""
"""The kind of a fault that is none for the caller."""

DROPPED = "connection dropped"
SILENT = "silent for 1 s"
LATE = "not complete within 2.5 s"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Args:
        name: what a report calls it.
        play: what the server does; where no server answers, the way in which it does not: "refuses",
            "is unknown", "is looked up in vain", "accepts nothing".
        kind: the class of the error that must come of it, or DONE; several where all of them are right.
        fact: what its message must say: all of it behind "MemOS at <host> " or, for a MemosConnectionError,
            the reason in parentheses; "" where any words will do.
        tries: how often a search must be sent; None where once and twice are both right.
        sent: whether the request may have reached MemOS, so that an add must not be sent again.
        certificate: which of the fixture `certificates` the server speaks TLS with.
        scheme: what the URL says, where it does not fit what the server speaks.
        greedy: the server sends without a pause, to keep the plugin from doing anything else.
    """

    name: str
    play: Play | str
    kind: str | tuple[str, ...]
    fact: str = ""
    tries: int | None = 1
    sent: bool = True
    certificate: str = ""
    scheme: str = ""
    greedy: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """The classes of error that are right."""
        return (self.kind,) if isinstance(self.kind, str) else self.kind


NO_ANSWER = "MemosConnectionError"
REPLY = "MemosReplyError"
INPUT = "MemosInputError"
KEY = "MemosAuthenticationError"
QUOTA = "MemosQuotaError"
SERVER = "MemosServerError"


def not_understood(what: str) -> str:
    """The fact of a reply that does not fit."""
    return f"sent a reply that is not understood ({what})"


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


def drips(start: bytes, byte_by_byte: bytes) -> Play:
    """Answer with `start`, and the rest so slowly that it does not end in time."""
    assert len(byte_by_byte) * DRIP > 2 * SYNCHRONOUS_ADD["ceiling"]
    return sends(start, *(bytes([byte]) for byte in byte_by_byte), pause=DRIP)


def pours(start: bytes, piece: bytes) -> Play:
    """Answer with `start`, and then with `piece` again and again."""

    def play(wire: Wire) -> None:
        wire.request()
        wire.send(start)
        wire.pour(itertools.repeat(piece))

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


def switches_protocol(wire: Wire) -> None:
    """Answer with 101, which nobody asked for, and go on in a protocol of its own."""
    wire.request()
    wire.send(head(101, {"Connection": "Upgrade", "Upgrade": "memos"}))
    wire.send(b"\x81\x05hello\r\n", pause=0.3)


def redirects(status: int) -> Play:
    """Send the client to another host, which is this server by another name: it counts who follows."""

    def play(wire: Wire) -> None:
        wire.request()
        wire.send(http(b"", status, {"Location": f"http://localhost:{wire.port}/elsewhere"}))

    return play


def padded(length: int) -> Callable[[bytes], bytes]:
    """Fill a JSON text up with spaces."""
    return lambda text: text.ljust(length)


def with_field(field: bytes) -> Callable[[bytes], bytes]:
    """Put a field in front of those of a JSON object."""
    return lambda text: b"{" + field + b", " + text[1:]


def in_hours(hours: float) -> str:
    """Write a time as HTTP does."""
    return format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)


CHUNKED = head(headers={"Transfer-Encoding": "chunked"})
GZIPPED = head(headers={"Content-Encoding": "gzip"})
UNSIZED = head(headers={"Content-Type": "application/json"})
HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
BOMB = gzip.compress(b" " * 16 * LARGEST_REPLY)
DETAIL = {
    "code": 422,
    "message": "Parameter validation error",
    "detail": [
        {"loc": ["body", "query"], "msg": "Field required", "type": "missing"},
        {"loc": ["body", "top_k"], "msg": "Input should be greater than 0", "type": "greater_than"},
    ],
    "data": None,
}

_NO_CONNECTION = (
    Fault("connection refused", "refuses", NO_ANSWER, "connection refused", 3, sent=False),
    Fault("host name unknown", "is unknown", NO_ANSWER, "host name not found", 3, sent=False),
    Fault("silent name server", "is looked up in vain", NO_ANSWER, "no connection within 0.7 s", sent=False),
    Fault("connect timeout", "accepts nothing", NO_ANSWER, "no connection within 0.7 s", sent=False),
)
_TLS = (
    Fault(
        "TLS certificate of an unknown authority",
        says(),
        NO_ANSWER,
        "TLS certificate not trusted",
        sent=False,
        certificate="untrusted",
    ),
    Fault(
        "TLS certificate expired",
        says(),
        NO_ANSWER,
        "TLS certificate expired",
        sent=False,
        certificate="expired",
    ),
    Fault(
        "TLS certificate of another host",
        says(),
        NO_ANSWER,
        "TLS certificate for another host",
        sent=False,
        certificate="other host",
    ),
    Fault(
        "https to a server that speaks http",
        lambda wire: (wire.byte(), wire.send(http(HTML, 400)), wire.close()),
        NO_ANSWER,
        "TLS failed",
        sent=False,
        scheme="https",
    ),
    Fault("TLS handshake closed", Wire.close, NO_ANSWER, "", None, sent=False, scheme="https"),
    Fault(
        "TLS handshake reset",
        lambda wire: (wire.byte(), wire.reset()),
        NO_ANSWER,
        "no connection",
        3,
        sent=False,
        scheme="https",
    ),
    Fault(
        "TLS handshake never answered",
        waits,
        NO_ANSWER,
        "no connection within 0.7 s",
        sent=False,
        scheme="https",
    ),
    Fault("TLS handshake byte by byte", "shakes hands slowly", NO_ANSWER, sent=False, scheme="https"),
    Fault("byte by byte over TLS", drips(UNSIZED, b" " * 99), NO_ANSWER, LATE, certificate="good"),
    Fault("reset over TLS", sends(then=Wire.reset), NO_ANSWER, DROPPED, 2, certificate="good"),
    Fault("closed over TLS", sends(), NO_ANSWER, DROPPED, 2, certificate="good"),
    Fault(
        "closed mid-reply over TLS",
        sends(head(headers={"Content-Length": 99}), b"{"),
        REPLY,
        not_understood("cut off"),
        2,
        certificate="good",
    ),
)
_ENDS = (
    Fault(
        "reset before the request was read",
        lambda wire: (wire.wait(0.1), wire.reset()),
        NO_ANSWER,
        DROPPED,
        2,
    ),
    Fault("reset amid the request", lambda wire: (wire.byte(), wire.reset()), NO_ANSWER, DROPPED, 2),
    Fault("reset after the request was read", sends(then=Wire.reset), NO_ANSWER, DROPPED, 2),
    Fault("closed after the request was read", sends(), NO_ANSWER, DROPPED, 2),
    Fault("closed amid the headers", sends(b"HTTP/1.1 200 OK\r\nContent-Ty"), REPLY, "", None),
    Fault(
        "closed mid-reply",
        sends(head(headers={"Content-Length": 99}), b'{"code": 0'),
        REPLY,
        not_understood("cut off"),
        2,
    ),
    Fault("closed amid a chunk", sends(CHUNKED, b'ff\r\n{"code": 0'), REPLY, not_understood("cut off"), 2),
    Fault(
        "closed between two chunks",
        sends(CHUNKED, b'a\r\n{"code": 0\r\n'),
        REPLY,
        not_understood("cut off"),
        2,
    ),
    Fault(
        "reset mid-reply",
        sends(head(headers={"Content-Length": 99}), b'{"code": 0', b" ", pause=0.05, then=Wire.reset),
        NO_ANSWER,
        DROPPED,
        2,
    ),
)
_SLOW = (
    Fault("silence", sends(then=waits), NO_ANSWER, SILENT),
    Fault("silence amid the headers", sends(b"HTTP/1.1 200 OK\r\nServer:", then=waits), NO_ANSWER, SILENT),
    Fault(
        "silence mid-reply", sends(head(headers={"Content-Length": 99}), b"{", then=waits), NO_ANSWER, SILENT
    ),
    Fault("status line byte by byte", drips(b"HTTP/1.1 200 ", b"O" * 99), NO_ANSWER, LATE),
    Fault("headers byte by byte", drips(b"HTTP/1.1 200 OK\r\nServer: ", b"x" * 99), NO_ANSWER, LATE),
    Fault("body byte by byte", drips(UNSIZED, b" " * 99), NO_ANSWER, LATE),
    Fault("chunks byte by byte", drips(CHUNKED, b"1\r\n \r\n" * 17), NO_ANSWER, LATE),
    Fault("gzip byte by byte", drips(GZIPPED, BOMB[:99]), NO_ANSWER, LATE),
    Fault(
        "announcements byte by byte",
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4),
        NO_ANSWER,
        LATE,
    ),
)
_LARGE = (
    Fault("endless headers", pours(b"HTTP/1.1 200 OK\r\n", b"Server: memos\r\n" * 999), REPLY, greedy=True),
    Fault("endless header", pours(b"HTTP/1.1 200 OK\r\nServer: ", b"x" * 9999), REPLY, greedy=True),
    Fault("endless status line", pours(b"HTTP/1.1 200 ", b"x" * 9999), REPLY, greedy=True),
    Fault("endless body", pours(UNSIZED, b" " * 65536), REPLY, not_understood("too large"), greedy=True),
    Fault(
        "endless chunks",
        pours(CHUNKED, b"8000\r\n" + b" " * 0x8000 + b"\r\n"),
        REPLY,
        not_understood("too large"),
        greedy=True,
    ),
    Fault(
        "endless chunks of one byte", pours(CHUNKED, b"1\r\n \r\n" * 9999), (REPLY, NO_ANSWER), greedy=True
    ),
    Fault("endless size of a chunk", pours(CHUNKED, b"0" * 9999), REPLY, "", None, greedy=True),
    Fault("endless chunk of size -1", pours(CHUNKED + b"-1\r\n", b" " * 65536), REPLY, "", None, greedy=True),
    Fault(
        "endless trailers",
        pours(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Trailer: x\r\n" * 999),
        (REPLY, NO_ANSWER),
        greedy=True,
    ),
    Fault(
        "endless announcements",
        pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999),
        (REPLY, NO_ANSWER),
        greedy=True,
    ),
    Fault(
        "endless gzip of nothing", pours(GZIPPED, gzip.compress(b"") * 999), (REPLY, NO_ANSWER), greedy=True
    ),
    Fault(
        "10 GB declared",
        pours(head(headers={"Content-Length": 10_000_000_000}), b" " * 65536),
        REPLY,
        not_understood("too large"),
    ),
    Fault(
        "impossible length declared",
        sends(head(headers={"Content-Length": "9" * 40}), b"{}", then=waits),
        REPLY,
        not_understood("too large"),
    ),
    Fault("gzip bomb", says(BOMB, headers={"Content-Encoding": "gzip"}), REPLY, not_understood("too large")),
    Fault(
        "gzip bomb in gzip",
        says(gzip.compress(BOMB), headers={"Content-Encoding": "gzip, gzip"}),
        REPLY,
        not_understood("too large"),
    ),
    Fault("4 MiB", changes(padded(LARGEST_REPLY)), DONE),
    Fault(
        "4 MiB in gzip",
        changes(lambda text: gzip.compress(text.ljust(LARGEST_REPLY)), {"Content-Encoding": "gzip"}),
        DONE,
    ),
    Fault("4 MiB and a byte", changes(padded(LARGEST_REPLY + 1)), REPLY, not_understood("too large")),
    Fault(
        "4 MiB and a byte in gzip",
        changes(lambda text: gzip.compress(text.ljust(LARGEST_REPLY + 1)), {"Content-Encoding": "gzip"}),
        REPLY,
        not_understood("too large"),
    ),
)
_FRAMING = (
    Fault(
        "Content-Length too small",
        changes(lambda text: text, {"Content-Length": 20}),
        REPLY,
        not_understood("not a JSON object"),
    ),
    Fault(
        "Content-Length much too small",
        changes(padded(100_000), {"Content-Length": 20}),
        REPLY,
        not_understood("not a JSON object"),
    ),
    Fault("a second reply behind the first", replies_twice, DONE),
    Fault(
        "Content-Length twice",
        sends(head(headers={"Content-Length": "5\r\nContent-Length: 7"}), b"{}   "),
        REPLY,
        "",
        None,
    ),
    Fault(
        "Content-Length too large, and silence",
        changes(lambda text: text, {"Content-Length": 9999}),
        NO_ANSWER,
        SILENT,
    ),
    Fault("chunked garbage", sends(CHUNKED, b"zz\r\nyy\r\n"), REPLY, "", None),
    Fault("chunk of a negative size", sends(CHUNKED, b"-5\r\nyy\r\n"), REPLY, "", None),
    Fault(
        "gzip that is none",
        says(b"{}", headers={"Content-Encoding": "gzip"}),
        REPLY,
        not_understood("broken compression"),
    ),
    Fault(
        "gzip cut off", says(gzip.compress(b" " * 99999)[:99], headers={"Content-Encoding": "gzip"}), REPLY
    ),
    Fault("unknown compression", says(b"\x01\x02", headers={"Content-Encoding": "x-memos"}), REPLY),
    Fault(
        "another protocol", sends(b"SSH-2.0-OpenSSH_9.6\r\n", then=waits), REPLY, not_understood("not HTTP")
    ),
    Fault("noise", sends(bytes(range(256))), REPLY, not_understood("not HTTP")),
    Fault("unknown version of HTTP", sends(b"HTTP/7.0 200 OK\r\n\r\n{}"), REPLY, not_understood("not HTTP")),
    Fault("status that is no number", sends(b"HTTP/1.1 good\r\n\r\n{}"), REPLY, not_understood("not HTTP")),
    Fault("status 999", says(b"{}", 999), REPLY, not_understood("HTTP 999")),
)
_BODIES = (
    Fault("HTML with 200", says(HTML), REPLY, not_understood("HTML")),
    Fault("HTML with 502", says(HTML, 502), SERVER, "answered 502: Bad Gateway", 2),
    Fault("HTML with 404", says(HTML, 404), REPLY),
    Fault("empty 200", says(), REPLY, not_understood("empty")),
    Fault("empty 202", says(status=202), REPLY, not_understood("empty")),
    Fault("empty 204", sends(head(204), then=goes_on), REPLY, not_understood("empty")),
    Fault("white space", says(b" \r\n "), REPLY, not_understood("empty")),
    *(
        Fault(f"{text} instead of an object", says(text.encode()), REPLY, not_understood("not a JSON object"))
        for text in ("[]", '"ok"', "42", "null", "true", "ok")
    ),
    *(
        Fault(f"data: {json.dumps(data)}", says({"code": 0, "message": "ok", "data": data}), REPLY)
        for data in (None, "ok", 42, True, [1], [None])
    ),
    Fault("no data", says({"code": 0, "message": "ok"}), REPLY),
    Fault("empty object", says({}), REPLY),
    Fault("truncated JSON", changes(lambda text: text[:-2]), REPLY, not_understood("not a JSON object")),
    Fault("two JSON objects", changes(lambda text: text * 2), REPLY, not_understood("not a JSON object")),
    Fault(
        "JSON nested 100,000 deep",
        changes(with_field(b'"x": ' + b"[" * 100_000 + b"]" * 100_000)),
        REPLY,
        not_understood("not a JSON object"),
    ),
    Fault("JSON nested 100 deep", changes(with_field(b'"x": ' + b"[" * 100 + b"]" * 100)), DONE),
    Fault("NaN", changes(with_field(b'"x": NaN')), REPLY, not_understood("not a JSON object")),
    Fault("Infinity", changes(with_field(b'"x": -Infinity')), REPLY, not_understood("not a JSON object")),
    Fault("number beyond a double", changes(with_field(b'"x": 1e999')), (DONE, REPLY)),
    Fault("number of 5,000 digits", changes(with_field(b'"x": ' + b"9" * 5000)), (DONE, REPLY)),
    Fault("duplicate keys, the last one good", changes(with_field(b'"code": 50000, "data": 7')), DONE),
    Fault(
        "duplicate keys, the last one bad",
        changes(lambda text: text[:-1] + b', "code": 50000}'),
        SERVER,
        "answered 50000: ok",
    ),
    Fault(
        "invalid UTF-8",
        changes(with_field(b'"x": "\xff\xfe"')),
        REPLY,
        not_understood("not a JSON object"),
    ),
    Fault("lone surrogate", changes(with_field(rb'"x": "\ud800"')), (DONE, REPLY)),
    Fault("byte order mark", changes(lambda text: b"\xef\xbb\xbf" + text), (DONE, REPLY)),
    Fault(
        "UTF-16",
        changes(lambda text: text.decode().encode("utf-16")),
        REPLY,
        not_understood("not a JSON object"),
    ),
)
_ANNOUNCED = (
    *(Fault(f"{status} and the reply", announces(status), DONE) for status in (100, 102, 103, 199)),
    *(
        Fault(f"{status}, and later the reply", announces(status, 0.3), DONE)
        for status in (100, 102, 103, 199)
    ),
    Fault("103 and the end", sends(head(103)), (NO_ANSWER, REPLY), "", None),
    Fault("101, and later another protocol", switches_protocol, (NO_ANSWER, REPLY), "", None),
    Fault("101 and another protocol", sends(head(101), b"\x81\x05hello"), (NO_ANSWER, REPLY), "", None),
)
_STATUSES = (
    *(
        Fault(
            f"redirect {status} to another host", redirects(status), REPLY, not_understood(f"HTTP {status}")
        )
        for status in (301, 302, 303, 307, 308)
    ),
    *(
        Fault(f"HTTP {status}", says({"detail": "Words of the server"}, status), kind, fact, tries)
        for status, kind, fact, tries in (
            (400, INPUT, "answered 400: Words of the server", 1),
            (401, KEY, "answered 401: Words of the server", 1),
            (403, KEY, "answered 403: Words of the server", 1),
            (404, REPLY, "", 1),
            (405, REPLY, "", 1),
            (409, INPUT, "answered 409: Words of the server", 1),
            (413, INPUT, "answered 413: Words of the server", 1),
            (429, QUOTA, "answered 429: Words of the server", 2),
            (500, SERVER, "answered 500: Words of the server", 1),
            (502, SERVER, "answered 502: Words of the server", 2),
            (503, SERVER, "answered 503: Words of the server", 2),
            (504, SERVER, "answered 504: Words of the server", 2),
        )
    ),
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
        *(40306, 40307, 40308),
    ),
    KEY: (40100, 40103, 40130, 40132),
    QUOTA: (40300, 40301, 40302, 40303, 40304, 40305, 40309),
    SERVER: (
        *(50000, 50002, 50004, 50005, 50143, 50144, 50145),
        *(50103, 50104, 50105, 50107, 50120, 50123, 50131),
    ),
}
_CODES = (
    *(
        Fault(
            f"code {code} inside HTTP 200",
            says({"code": code, "message": "Words of the server", "data": None}),
            kind,
            f"answered {code}: Words of the server",
        )
        for kind, codes in CODES.items()
        for code in codes
    ),
    Fault("code 40132 as text", says({"code": "40132", "message": "No"}), KEY, "answered 40132: No"),
    Fault(
        "code 40132 inside HTTP 500", says({"code": 40132, "message": "No"}, 500), KEY, "answered 40132: No"
    ),
    Fault(
        "code 50004 inside HTTP 401",
        says({"code": 50004, "message": "No"}, 401),
        SERVER,
        "answered 50004: No",
    ),
    Fault("code 0 inside HTTP 500", says({"code": 0, "message": "ok", "data": {}}, 500), SERVER),
    Fault(
        "code 40000 with a placeholder",
        says({"code": 40000, "message": "Invalid request parameters{0}"}),
        INPUT,
        "answered 40000: Invalid request parameters",
    ),
    Fault(
        "code 50000 without words",
        says({"code": 50000, "message": "", "data": None}),
        SERVER,
        "answered 50000: Internal error",
    ),
    Fault("unknown code", says({"code": 7, "message": "No"}), REPLY),
)

FAULTS = (
    *_NO_CONNECTION,
    *_TLS,
    *_ENDS,
    *_SLOW,
    *_LARGE,
    *_FRAMING,
    *_BODIES,
    *_ANNOUNCED,
    *_STATUSES,
    *_CODES,
)
