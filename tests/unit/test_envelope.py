"""Refusals: which class each code and status belongs to, and the words that a user reads."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from memos_client.envelope import unwrap
from memos_client.errors import (
    CODES,
    MemosAuthenticationError,
    MemosConnectionError,
    MemosError,
    MemosInputError,
    MemosQuotaError,
    MemosReplyError,
    MemosServerError,
)
from memos_client.transport import Reply
from tests.unit.samples import KEY, cases, failure

HOST = "memos.example:8000"
HTML = b"<!DOCTYPE html>\n<html><body><h1>Error</h1></body></html>"
NOT_UNDERSTOOD = "sent a reply that is not understood"
OTHER_VALUES = "Check the values given to this tool."
CHECK_KEY = (
    "Check the API key in this plugin's credentials; keys of another region or project are not valid here."
)
CHECK_URL = "Check that the MemOS URL is an API address and that Deployment fits it."
WAIT = "Wait, or raise the quota of your MemOS account."
LATER = "Try again later."
LESS_TEXT = "Send less text in one call."

# Class and advice -> the codes that MemOS publishes, and the statuses that its own server repeats as code.
CODES_OF: dict[tuple[type[MemosError], str], tuple[int, ...]] = {
    (MemosInputError, OTHER_VALUES): (
        *(40000, 40001, 40002, 40003, 40006, 40007, 40008, 40009, 40010, 40011, 40012, 40020),
        *(40306, 40307, 40308),
    ),
    (MemosInputError, LESS_TEXT): (413, 40013, 40303, 40305),
    (MemosAuthenticationError, CHECK_KEY): (401, 403, 40100, 40103, 40130, 40132),
    (MemosQuotaError, WAIT): (429, 40300, 40301, 40302, 40304, 40309),
    (MemosServerError, LATER): (50000, 50002, 50004, 50005, 50143, 50144, 50145),
    (MemosServerError, OTHER_VALUES): (50103, 50104, 50105, 50107, 50120, 50123, 50131),
    (MemosReplyError, CHECK_URL): (404, 405),
}
KNOWN = {code: belongs for belongs, codes in CODES_OF.items() for code in codes}


def refusal(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None, key: str = KEY
) -> MemosError:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return failure(unwrap, HOST, Reply(status, headers or {}, sent), key)


def test_every_known_code_is_told_apart() -> None:
    assert CODES.keys() == KNOWN.keys()


@pytest.mark.parametrize("code", KNOWN)
def test_code_decides_class_and_advice_whatever_the_status(code: int) -> None:
    kind, advice = KNOWN[code]
    for status in (200, 302, 401, 403, 500):
        error = refusal({"code": code, "message": "No."}, status)
        assert type(error) is kind
        assert str(error) == f"MemOS at {HOST} answered {code}: No. {advice}"


@pytest.mark.parametrize("code", KNOWN)
def test_code_without_words_of_its_own_gets_those_of_the_table(code: int) -> None:
    words, advice = CODES[code][1], KNOWN[code][1]
    for message in ("", None, "   ", "Invalid request parameters{0}"):
        error = refusal({"code": code, "message": message})
        assert str(error) == f"MemOS at {HOST} answered {code}: {words}. {advice}"
    assert len(words) > 8
    assert not {"{", "."} & set(words)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (40099, MemosInputError),
        (40131, MemosAuthenticationError),
        (40404, MemosInputError),
        (40310, MemosQuotaError),
        (59999, MemosServerError),
        ("40132", MemosAuthenticationError),
        (400, MemosInputError),
        (503, MemosServerError),
    ],
)
def test_code_beyond_the_table_belongs_to_its_family(code: Any, kind: type[MemosError]) -> None:
    error = refusal({"code": code, "message": "No."})
    assert type(error) is kind
    assert str(error).startswith(f"MemOS at {HOST} answered {code}: No. ")


@pytest.mark.parametrize("code", [1, 7, 12345, 70007, -1, "7", "no", "", 0.5, True, [], {}], ids=repr)
def test_code_of_no_family_is_a_reply_that_is_not_understood(code: Any) -> None:
    error = refusal({"code": code, "message": "Moved.", "data": {}})
    assert type(error) is MemosReplyError
    number = code if type(code) is int else 7 if code == "7" else -1
    assert str(error) == f"MemOS at {HOST} {NOT_UNDERSTOOD} (code {number}: Moved). {CHECK_URL}"


STATUSES: dict[int, type[MemosError]] = {
    **dict.fromkeys((400, 408, 409, 413, 422), MemosInputError),
    **dict.fromkeys((401, 403), MemosAuthenticationError),
    429: MemosQuotaError,
    **dict.fromkeys((500, 502, 503, 504), MemosServerError),
    **dict.fromkeys((100, 300, 301, 302, 304, 307, 308, 404, 405), MemosReplyError),
}


@pytest.mark.parametrize("status", STATUSES)
def test_status_decides_where_no_code_does(status: int) -> None:
    for body in (HTML, b"", b'{"detail": "No."}', b'{"code": 0, "data": {}}', b'{"code": 12345}', b"nope"):
        error = refusal(body, status)
        assert type(error) is STATUSES[status]
        assert str(status) in str(error) or "code 12345" in str(error)
        assert "<" not in str(error)


@cases(
    "status, body, words",
    {
        "quota": (
            429,
            {"detail": "Too many requests. Slow down.", "retry_after": 60},
            f"answered 429: Too many requests. Slow down. {WAIT}",
        ),
        "server with a page": (503, HTML, f"answered 503: Service Unavailable. {LATER}"),
        "too long for a gateway": (413, HTML, f"answered 413: The messages are too long. {LESS_TEXT}"),
        "wrong path": (404, {"detail": "Not Found"}, f"answered 404: Not Found. {CHECK_URL}"),
        "error without a name": (599, b"", f"answered 599. {LATER}"),
        "code without words": (200, {"code": 7}, f"{NOT_UNDERSTOOD} (code 7). {CHECK_URL}"),
        "page": (200, HTML, f"{NOT_UNDERSTOOD} (HTML). {CHECK_URL}"),
        "empty": (200, b"", f"{NOT_UNDERSTOOD} (empty). {CHECK_URL}"),
        "white space": (200, b" \n", f"{NOT_UNDERSTOOD} (empty). {CHECK_URL}"),
    },
)
def test_user_reads_fact_then_advice(status: int, body: Any, words: str) -> None:
    assert str(refusal(body, status)) == f"MemOS at {HOST} {words}"


@pytest.mark.parametrize(
    "body",
    [b"OK", b"[]", b'"ok"', b'{"code": 0, "data": {', b'{"code": 0}\xff', b'{"data": NaN}', b"[" * 10_000],
    ids=lambda body: repr(body[:20]),
)
def test_success_that_is_no_json_object_is_not_understood(body: bytes) -> None:
    assert f"{NOT_UNDERSTOOD} (not a JSON object). {CHECK_URL}" in str(refusal(body))


PROXY = (
    f"A proxy on the way to MemOS at {HOST} refused the request ({{}}). "
    "Check the proxy that Dify's plugin daemon is set to use; the API key was not looked at."
)
GATEWAY_OR_KEY = (
    f"MemOS at {HOST} answered 403 with a web page. Either the API key in this plugin's credentials "
    "is wrong, or a gateway in front of MemOS refuses Dify: check both."
)


FORBIDDEN = PROXY.format("403 Forbidden")


@pytest.mark.parametrize(
    ("status", "headers", "key", "words"),
    [
        (403, {}, KEY, GATEWAY_OR_KEY),
        (403, {"Server": "nginx"}, KEY, GATEWAY_OR_KEY),
        (403, {}, "", FORBIDDEN),
        (403, {"X-Squid-Error": "ERR_ACCESS_DENIED 0"}, KEY, FORBIDDEN),
        (403, {"Server": "Zscaler/6.2"}, KEY, FORBIDDEN),
        (403, {"Server": "Privoxy"}, KEY, FORBIDDEN),
        (407, {}, KEY, PROXY.format("407 Proxy Authentication Required")),
        (503, {"Server": "squid/6.10"}, KEY, PROXY.format("503 Service Unavailable")),
    ],
)
def test_proxies_and_gateways_are_told_from_a_wrong_key(
    status: int, headers: Mapping[str, str], key: str, words: str
) -> None:
    error = refusal(HTML, status, headers, key)
    assert str(error) == words
    assert error.refused
    assert type(error) is (MemosAuthenticationError if words == GATEWAY_OR_KEY else MemosConnectionError)


def test_code_of_memos_wins_over_a_proxy_s_header() -> None:
    error = refusal({"code": 40132, "message": "No."}, 403, {"Server": "squid"})
    assert type(error) is MemosAuthenticationError


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("https://memos.example/product/search?key=1", "https://memos.example"),
        ("http://MEMOS.example:9000", "http://memos.example:9000"),
        ("https://user:secret@memos.example/", "https://memos.example"),
        ("", None),
        ("/product/search/", None),
        ("ftp://memos.example", None),
        ("http://[::1", None),
        (f"https://{KEY}.example", None),
    ],
)
def test_redirect_tells_scheme_and_host_it_points_to(status: int, location: str, origin: str | None) -> None:
    error = refusal(b"", status, {"Location": location})
    moved = (
        f"redirects to {origin} (HTTP {status}). Put the address that MemOS itself answers at into MemOS URL."
    )
    unclear = f"{NOT_UNDERSTOOD} (HTTP {status}). {CHECK_URL}"
    assert str(error) == f"MemOS at {HOST} {moved if origin else unclear}"
    assert type(error) is MemosReplyError
    assert error.refused


@pytest.mark.parametrize("head", [{"code": 0}, {"code": 200}, {"code": None}, {}, {"code": "0"}], ids=str)
@pytest.mark.parametrize("data", [{}, [], None, {"success": True, "status": "running"}], ids=str)
def test_success_needs_status_and_code(head: dict[str, Any], data: Any) -> None:
    body = json.dumps(head | {"data": data}).encode()
    for status in (200, 201, 202, 299):
        assert unwrap(HOST, Reply(status, {}, body), KEY) == data


@pytest.mark.parametrize("data", [{"success": False}, {"success": True, "status": "failed"}], ids=str)
@pytest.mark.parametrize("code", [0, 200, None])
@pytest.mark.parametrize(("message", "told"), [("ok", ""), ("", ""), ("It broke.", ": It broke")])
def test_failure_inside_success_is_an_error(code: int | None, data: Any, message: str, told: str) -> None:
    error = refusal({"code": code, "message": message, "data": data})
    assert type(error) is MemosServerError
    assert str(error) == f"MemOS at {HOST} answered that this failed{told}. {LATER}"


@cases(
    "reply, told",
    {
        "message first": ({"message": "Wrong.", "detail": "Other."}, "Wrong."),
        "detail": ({"detail": "Wrong."}, "Wrong."),
        "empty detail list": ({"message": "Wrong.", "detail": []}, "Wrong."),
        "detail list of texts": ({"message": "Wrong.", "detail": ["text"]}, "Wrong."),
        "no text at all": ({"message": {"a": 1}}, "Unprocessable"),
        "field": ({"detail": [{"loc": ["body", "query"], "msg": "Missing"}]}, "query: Missing."),
        "two": ({"detail": [{"loc": [], "msg": "A"}, {"loc": ["b"], "msg": "C"}]}, "request: A; b: C."),
        "twins": ({"detail": [{"loc": ["b"], "msg": "C"}] * 2}, "b: C. Check"),
        "white space": ({"message": "a\n  b\tc"}, "a b c."),
        "one full stop": ({"message": "Missing key."}, "Missing key. Check"),
    },
)
def test_words_of_the_server_are_kept(reply: dict[str, Any], told: str) -> None:
    assert f"answered 422: {told}" in str(refusal(reply, 422))


talkative = cases(
    "reply",
    {
        "known code": {"code": 50000},
        "unknown code": {"code": 7},
        "failure inside success": {"code": 0, "data": {"success": False}},
    },
)


@talkative
def test_words_of_the_server_are_made_fit_for_a_message(reply: dict[str, Any]) -> None:
    assert "x" * 300 + "…" in str(refusal(reply | {"message": "x" * 10_000}))
    assert "Trace: line 1" in str(refusal(reply | {"message": "Trace:\n  line 1"}))
    assert "{0}" not in str(refusal(reply | {"message": "Invalid request parameters{0}"}))


@talkative
@pytest.mark.parametrize("words", ["message", "detail"])
def test_key_is_taken_out_of_the_words_of_the_server(reply: dict[str, Any], words: str) -> None:
    error = str(refusal(reply | {words: f"Token {KEY} is wrong; {KEY} is unknown."}))
    assert KEY not in error
    assert "Token [API key] is wrong; [API key] is unknown" in error


def test_key_is_taken_out_of_a_list_of_problems() -> None:
    words = str(refusal({"detail": [{"loc": ["body", KEY], "msg": f"{KEY} is no name"}]}, 422))
    assert "[API key]: [API key] is no name" in words
    assert KEY not in words
    assert "answered 500: a bad day." in str(refusal({"code": 500, "message": "a bad day"}, key="a"))


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 + 1, -(2**53) - 1, 10**30])
def test_integers_that_a_double_cannot_hold_are_text(number: int) -> None:
    body = json.dumps({"data": {"deep": [{"number": number}], "on": True}}).encode()
    exact = number if abs(number) <= 2**53 else str(number)
    assert unwrap(HOST, Reply(200, {}, body), KEY) == {"deep": [{"number": exact}], "on": True}
