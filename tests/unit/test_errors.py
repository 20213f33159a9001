"""Refusals: which class each code and status belongs to, and the words that a user reads."""

import json
from typing import Any

import pytest

from memos_client.envelope import content
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
from tests.unit.samples import cases

HOST = "memos.example:8000"
HTML = b"<!DOCTYPE html>\n<html><body><h1>Error</h1></body></html>"

# The codes that MemOS publishes, and the HTTP statuses: class -> what belongs to it.
CODES_OF: dict[type[MemosError], tuple[int, ...]] = {
    MemosInputError: (
        *(40000, 40001, 40002, 40003, 40006, 40007, 40008, 40009, 40010, 40011, 40012, 40013, 40020),
        *(40306, 40307, 40308),
    ),
    MemosAuthenticationError: (40100, 40103, 40130, 40132),
    MemosQuotaError: (40300, 40301, 40302, 40303, 40304, 40305, 40309),
    MemosServerError: (
        *(50000, 50002, 50004, 50005, 50143, 50144, 50145),
        *(50103, 50104, 50105, 50107, 50120, 50123, 50131),
    ),
}
STATUSES_OF: dict[type[MemosError], tuple[int, ...]] = {
    MemosInputError: (400, 409, 413, 422),
    MemosAuthenticationError: (401, 403),
    MemosQuotaError: (429,),
    MemosServerError: (500, 502, 503, 504),
    MemosReplyError: (301, 302, 307, 404, 405),
}
CLASSES = {code: kind for kind, codes in CODES_OF.items() for code in codes}
STATUSES = {status: kind for kind, statuses in STATUSES_OF.items() for status in statuses}


def refusal(body: Any, status: int = 200, secret: str = "") -> MemosError:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MemosError) as caught:
        content(HOST, status, sent, [secret])
    return caught.value


def envelope(code: Any, message: Any = "No.") -> dict[str, Any]:
    return {"code": code, "message": message, "data": None}


def test_every_published_code_has_its_words() -> None:
    assert CODES.keys() == CLASSES.keys()


@pytest.mark.parametrize("code", CLASSES)
def test_code_decides_the_class_whatever_the_status(code: int) -> None:
    assert {type(refusal(envelope(code), status)) for status in (200, 302, 401, 500)} == {CLASSES[code]}


@pytest.mark.parametrize("message", ["", None, "   ", "Invalid request parameters{0}"])
@pytest.mark.parametrize("code", CLASSES)
def test_code_without_proper_words_gets_those_of_the_table(code: int, message: str | None) -> None:
    words = str(refusal(envelope(code, message)))
    host, _, told = words.partition(f" answered {code}: ")
    fact, _, advice = told.partition(". ")
    assert host == f"MemOS at {HOST}"
    assert len(fact) > 8
    assert advice.endswith(".")
    assert "{" not in words
    assert "please" not in words.lower()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (40099, MemosInputError),
        (40131, MemosAuthenticationError),
        (59999, MemosServerError),
        ("40132", MemosAuthenticationError),
        (401, MemosAuthenticationError),
        (429, MemosQuotaError),
        (503, MemosServerError),
    ],
)
def test_code_beyond_the_table_belongs_to_its_family(code: Any, kind: type[MemosError]) -> None:
    error = refusal(envelope(code))
    assert type(error) is kind
    assert str(error).startswith(f"MemOS at {HOST} answered {code}: No. ")


@pytest.mark.parametrize("code", [1, 7, 12345, -1, "7", "no", 0.5, True, [], {}], ids=repr)
def test_unknown_code_is_a_reply_that_is_not_understood(code: Any) -> None:
    assert type(refusal(envelope(code))) is MemosReplyError


@pytest.mark.parametrize(
    "body", [HTML, b"", b'{"detail": "No."}', b'{"code": 0, "data": {}}', b'{"code": 12345}', b"[]", b"nope"]
)
@pytest.mark.parametrize("status", STATUSES)
def test_status_decides_where_no_code_does(status: int, body: bytes) -> None:
    error = refusal(body, status)
    assert type(error) is STATUSES[status]
    assert str(status) in str(error)
    assert "<" not in str(error)


CHECK_KEY = (
    "Check the API key in this plugin's credentials; keys of another region or project are not valid here."
)
CHECK_URL = "Check that the MemOS URL is an API address and that Deployment fits it."
WAIT = "Wait, or raise the quota of your MemOS account."
SLOW = {"detail": "Too many requests. Slow down.", "retry_after": 60}


@cases(
    "status, body, words",
    {
        "input": (422, envelope(40012), "answered 40012: No. Check the values given to this tool."),
        "authentication": (200, envelope(40132), f"answered 40132: No. {CHECK_KEY}"),
        "quota": (429, SLOW, f"answered 429: Too many requests. Slow down. {WAIT}"),
        "server": (200, envelope(50004), "answered 50004: No. Try again later."),
        "server with HTML": (503, HTML, "answered 503: Service Unavailable. Try again later."),
        "reply": (200, HTML, f"sent a reply that is not understood (HTML). {CHECK_URL}"),
        "redirect": (302, b"", f"sent a reply that is not understood (HTTP 302). {CHECK_URL}"),
    },
)
def test_user_reads_fact_then_advice(status: int, body: Any, words: str) -> None:
    assert str(refusal(body, status)) == f"MemOS at {HOST} {words}"


def test_error_without_an_answer_has_its_own_advice() -> None:
    fact = "No answer from MemOS at memos.memtensor.cn (TLS certificate not trusted)."
    words = f"{fact} Check the MemOS URL, and that Dify can reach it."
    assert str(MemosConnectionError(fact)) == words


@cases(
    "body, what",
    {
        "empty": (b"", "empty"),
        "white space": (b" \n", "empty"),
        "HTML": (HTML, "HTML"),
        "text": (b"OK", "not a JSON object"),
        "list": (b"[]", "not a JSON object"),
        "string": (b'"ok"', "not a JSON object"),
        "cut off": (b'{"code": 0, "data": {', "not a JSON object"),
        "not UTF-8": (b'{"code": 0}\xff', "not a JSON object"),
        "very deep": (b"[" * 100_000, "not a JSON object"),
    },
)
def test_success_without_an_envelope_is_not_understood(body: bytes, what: str) -> None:
    error = refusal(body)
    assert type(error) is MemosReplyError
    assert f"({what})" in str(error)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("head", [{"code": 0}, {"code": 200}, {"code": None}, {}, {"code": "0"}], ids=str)
@pytest.mark.parametrize("data", [{}, [], None, {"success": True, "status": "running"}], ids=str)
def test_success_needs_status_and_code(status: int, head: dict[str, Any], data: Any) -> None:
    assert content(HOST, status, json.dumps(head | {"data": data}).encode(), []) == data


@pytest.mark.parametrize("data", [{"success": False}, {"status": "failed"}], ids=str)
@pytest.mark.parametrize("code", [0, 200, None])
def test_failure_inside_success_is_an_error(code: int | None, data: dict[str, Any]) -> None:
    error = refusal({"code": code, "message": "ok", "data": data})
    assert type(error) is MemosServerError
    assert str(error) == f"MemOS at {HOST} answered that this failed. Try again later."


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
    assert len(str(refusal(reply | {"message": "x" * 10_000}))) < 1000
    assert "Trace: line 1" in str(refusal(reply | {"message": "Trace:\n  line 1"}))
    assert "{0}" not in str(refusal(reply | {"message": "Invalid request parameters{0}"}))


@talkative
@pytest.mark.parametrize("words", ["message", "detail"])
def test_key_is_taken_out_of_the_words_of_the_server(reply: dict[str, Any], words: str) -> None:
    said = {words: "Token mpg-test is wrong; mpg-test is unknown."}
    error = str(refusal(reply | said, secret="mpg-test"))
    assert "mpg-test" not in error
    assert "Token [API key] is wrong; [API key] is unknown" in error


def test_key_is_taken_out_of_a_list_of_problems() -> None:
    detail = [{"loc": ["body", "mpg-test"], "msg": "mpg-test is no name"}]
    words = str(refusal({"detail": detail}, 422, secret="mpg-test"))
    assert "[API key]: [API key] is no name" in words
    assert "mpg-test" not in words
