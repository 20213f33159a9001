"""The client over HTTP: what is sent, when it is sent again, and what is said when no answer comes."""

import gzip
import json
import socket
import ssl
import time
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import Any

import pytest

from memos_client.client import (
    ADD,
    LARGEST_REPLY,
    PROBE,
    SEARCH,
    SYNCHRONOUS_ADD,
    MemosClient,
    pause_before_repeat,
)
from memos_client.connections import Exchange, Patience, why_no_answer
from memos_client.errors import MemosConnectionError, MemosError, MemosReplyError, MemosServerError
from memos_client.models import AddRequest, SearchRequest
from tests.unit.samples import CLOUD, SELF_HOSTED, Deployment, Lost, Memos, Reply, Step, cases

QUESTION = SearchRequest(query="food", user_id="user-1")
MESSAGE = AddRequest(user_messages="I eat no meat.", user_id="user-1")
NOW = 1767484800
DROPPED = b""
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
PASSING: dict[str, Step] = {
    "dropped": DROPPED,
    "reset": Lost(ConnectionResetError()),
    "cut off": CUT_OFF,
    **{str(status): Reply(b"<html>", status) for status in (429, 502, 503, 504)},
}
GZIP = {"Content-Encoding": "gzip"}
TOO_LARGE = b" " * (LARGEST_REPLY + 1)
REFUSED = Lost(ConnectionRefusedError(), "connect")


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


def search(deployment: Deployment) -> Any:
    return MemosClient(deployment.credentials).search(QUESTION)


def add(deployment: Deployment, *, asynchronous: bool = True) -> Any:
    request = MESSAGE if asynchronous else MESSAGE.model_copy(update={"async_mode": False})
    return MemosClient(deployment.credentials).add(request)


def failed(call: Any, deployment: Deployment) -> MemosError:
    with pytest.raises(MemosError) as caught:
        call(deployment)
    return caught.value


def test_requests_go_to_the_paths_of_the_deployment(memos: Memos, deployment: Deployment) -> None:
    memos.plays(deployment.says(deployment.found), deployment.says(deployment.added))
    search(deployment)
    add(deployment)
    assert [request.url for request in memos.requests] == [deployment.url + path for path in deployment.paths]
    bodies = [deployment.dialect.search_body(QUESTION), deployment.dialect.add_body(MESSAGE)]
    assert [request.json for request in memos.requests] == bodies


def test_request_is_json_with_the_key_in_its_header(memos: Memos, deployment: Deployment) -> None:
    memos.plays(deployment.says(deployment.found))
    search(deployment)
    headers = memos.requests[0].headers
    assert headers["Authorization"] == "Token mpg-test"
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert "mpg-test" not in memos.requests[0].url + json.dumps(memos.requests[0].json)


def test_without_a_key_there_is_no_header(memos: Memos) -> None:
    memos.plays(SELF_HOSTED.says(SELF_HOSTED.found))
    MemosClient({"memos_url": SELF_HOSTED.url}).search(QUESTION)
    assert "Authorization" not in memos.requests[0].headers


def test_cookies_are_not_kept(memos: Memos) -> None:
    reply = CLOUD.says(CLOUD.found)
    memos.plays(Reply(reply.body, headers={"Set-Cookie": "session=1; Path=/"}), reply)
    search(CLOUD)
    search(CLOUD)
    assert "Cookie" not in memos.requests[1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(memos: Memos, deployment: Deployment, status: int) -> None:
    memos.plays(Reply(b"", status, {"Location": "https://elsewhere.example/"}))
    assert type(failed(search, deployment)) is MemosReplyError
    assert len(memos.requests) == 1


@cases(
    "call, answer, patience",
    {
        "search": (search, CLOUD.found, SEARCH),
        "asynchronous add": (add, CLOUD.added, ADD),
        "synchronous add": (partial(add, asynchronous=False), CLOUD.added, SYNCHRONOUS_ADD),
    },
)
def test_patience_fits_the_call(memos: Memos, call: Any, answer: Any, patience: Patience) -> None:
    memos.plays(CLOUD.says(answer))
    call(CLOUD)
    assert memos.connections == [5]
    assert memos.silences[-1] == patience.silence


def test_patience_and_bounds_are_those_of_the_contract() -> None:
    assert (SEARCH.silence, SEARCH.ceiling) == (ADD.silence, ADD.ceiling) == (30, 60)
    assert (SYNCHRONOUS_ADD.silence, SYNCHRONOUS_ADD.ceiling) == (120, 150)
    assert (PROBE.ceiling, PROBE.tries) == (15, 1)
    assert LARGEST_REPLY == 4 * 1024 * 1024


def exchange(left: float, *, repeatable: bool = True, sent: bool = False) -> Exchange:
    return Exchange(SEARCH, time.monotonic() + left, repeatable=repeatable, fresh=not repeatable, sent=sent)


def test_wait_for_a_byte_ends_at_the_ceiling() -> None:
    assert exchange(1000).patience() == 30
    assert 0 < exchange(10).patience() <= 10
    with pytest.raises(TimeoutError):
        exchange(-1).patience()


@cases(
    "repeatable, sent, passing, most_tries",
    {
        "search without connection": (True, False, True, 3),
        "search answered in a bad moment": (True, True, True, 2),
        "search answered for good": (True, True, False, 1),
        "search that can't be sent": (True, False, False, 1),
        "add without connection": (False, False, True, 3),
        "add that may have arrived": (False, True, True, 1),
        "add answered for good": (False, True, False, 1),
    },
)
@pytest.mark.parametrize("tries", [1, 2, 3, 4])
@pytest.mark.parametrize("retry_after", [None, 0.0, 7.0])
def test_decision_to_send_again(
    repeatable: bool, sent: bool, passing: bool, most_tries: int, tries: int, retry_after: float | None
) -> None:
    failed = replace(exchange(60, repeatable=repeatable, sent=sent), passing=passing, retry_after=retry_after)
    pause = pause_before_repeat(failed, tries)
    assert (pause is not None) is (tries < most_tries)
    if pause is not None:
        assert pause == retry_after or (retry_after is None and 0 < pause < 2)
    assert pause_before_repeat(replace(failed, call=PROBE), tries) is None


@cases("trouble", PASSING)
def test_search_is_repeated_once(
    memos: Memos, deployment: Deployment, pauses: list[float], trouble: Step
) -> None:
    memos.plays(trouble, deployment.says(deployment.found))
    assert search(deployment).variables["count"] == 1
    assert len(memos.requests) == 2
    assert 0 < pauses[0] < 1


@cases("trouble", PASSING | {"silent": Lost(TimeoutError())})
def test_add_that_may_have_arrived_is_not_repeated(
    memos: Memos, deployment: Deployment, trouble: Step
) -> None:
    memos.plays(trouble)
    failed(add, deployment)
    assert len(memos.requests) == 1


def test_second_trouble_in_a_search_is_told(memos: Memos, deployment: Deployment) -> None:
    memos.plays(DROPPED, Reply(b"", 503))
    words = f"MemOS at {deployment.host} answered 503: Service Unavailable. Try again later."
    assert str(failed(search, deployment)) == words


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500, 501])
def test_lasting_trouble_is_not_repeated(memos: Memos, deployment: Deployment, status: int) -> None:
    memos.plays(Reply({}, status))
    failed(search, deployment)
    assert len(memos.requests) == 1


@pytest.mark.parametrize("call", [search, add])
def test_what_never_left_is_tried_again(memos: Memos, deployment: Deployment, call: Any) -> None:
    memos.plays(REFUSED, REFUSED, deployment.says(deployment.found if call is search else deployment.added))
    call(deployment)
    assert (len(memos.connections), len(memos.requests)) == (3, 1)


@pytest.mark.parametrize("call", [search, add])
def test_tries_to_connect_come_to_an_end(memos: Memos, deployment: Deployment, call: Any) -> None:
    memos.plays(REFUSED, REFUSED, REFUSED)
    assert type(failed(call, deployment)) is MemosConnectionError


@pytest.mark.usefixtures("stopped_clock")
@cases(
    "value, least, most",
    {
        "seconds": ("7", 7, 7),
        "date": (formatdate(NOW + 50, usegmt=True), 50, 50),
        "date that has passed": (formatdate(NOW - 50, usegmt=True), 0, 0),
        "word": ("soon", 0.01, 1),
        "negative": ("-5", 0.01, 1),
        "fraction": ("1.5", 0.01, 1),
        "empty": ("", 0.01, 1),
    },
)
def test_retry_after_is_obeyed(
    memos: Memos, pauses: list[float], value: str, least: float, most: float
) -> None:
    memos.plays(Reply({}, 503, {"Retry-After": value}), CLOUD.says(CLOUD.found))
    search(CLOUD)
    assert least <= pauses[0] <= most


@pytest.mark.usefixtures("stopped_clock")
@pytest.mark.parametrize("value", ["60", "86400", "9" * 400, formatdate(NOW + 3600, usegmt=True)], ids=len)
def test_retry_after_beyond_the_ceiling_ends_the_call(memos: Memos, pauses: list[float], value: str) -> None:
    memos.plays(Reply({}, 503, {"Retry-After": value}))
    assert type(failed(search, CLOUD)) is MemosServerError
    assert pauses == []


def certificate(problem: int) -> Lost:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = problem
    return Lost(error, "tls")


@cases(
    "trouble, reason",
    {
        "unknown host": (Lost(socket.gaierror(-2, "unknown"), "connect"), "host name not found"),
        "refused": (REFUSED, "connection refused"),
        "no route": (Lost(OSError(113, "no route"), "connect"), "no connection"),
        "no connection": (Lost(TimeoutError(), "connect"), "no connection within 5 s"),
        "self-signed": (certificate(18), "TLS certificate not trusted"),
        "unknown issuer": (certificate(20), "TLS certificate not trusted"),
        "expired": (certificate(10), "TLS certificate expired"),
        "other host": (certificate(62), "TLS certificate for another host"),
        "no TLS": (Lost(ssl.SSLError(1, "wrong version"), "tls"), "TLS failed"),
        "silent": (Lost(TimeoutError()), "silent for 30 s"),
        "reset": (Lost(ConnectionResetError()), "connection dropped"),
        "dropped": (DROPPED, "connection dropped"),
    },
)
def test_missing_answer_is_explained(memos: Memos, trouble: Step, reason: str) -> None:
    memos.plays(*[trouble] * 3)
    error = failed(search, CLOUD)
    assert type(error) is MemosConnectionError
    assert str(error) == (
        f"No answer from MemOS at memos.memtensor.cn ({reason}). "
        "Check the MemOS URL, and that Dify can reach it."
    )
    memos.script.clear()


def test_end_at_the_ceiling_is_explained() -> None:
    assert why_no_answer(TimeoutError(), exchange(-1, sent=True))[0] == "not complete within 60 s"


def test_add_without_an_answer_says_what_may_have_happened(memos: Memos, deployment: Deployment) -> None:
    memos.plays(DROPPED)
    assert str(failed(add, deployment)) == (
        f"No answer from MemOS at {deployment.host} (connection dropped). "
        "The messages may have been stored all the same. Check the MemOS URL, and that Dify can reach it."
    )


@cases(
    "reply, what",
    {
        "not HTTP": (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        "cut off": (CUT_OFF, "cut off"),
        "chunk cut off": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "cut off"),
        "broken compression": (Reply(b"{}", headers=GZIP), "broken compression"),
        "too large": (Reply(TOO_LARGE), "too large"),
        "declared too large": (Reply(b"", headers={"Content-Length": str(10**12)}), "too large"),
        "unpacked too large": (Reply(gzip.compress(TOO_LARGE), headers=GZIP), "too large"),
    },
)
def test_reply_that_does_not_fit_is_told(memos: Memos, reply: Step, what: str) -> None:
    memos.plays(*[reply] * 2)
    error = failed(search, CLOUD)
    assert type(error) is MemosReplyError
    assert f"MemOS at memos.memtensor.cn sent a reply that is not understood ({what})." in str(error)
    memos.script.clear()


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
def test_largest_reply_is_read(memos: Memos, deployment: Deployment, compressed: bool) -> None:
    body = json.dumps(deployment.says(deployment.found).body).encode().ljust(LARGEST_REPLY)
    packed = Reply(gzip.compress(body), headers=GZIP)
    memos.plays(packed if compressed else Reply(body))
    assert search(deployment).variables["count"] == 1


def test_key_is_taken_out_of_what_the_server_says(memos: Memos, deployment: Deployment) -> None:
    memos.plays(Reply({"code": 40132, "message": "Token mpg-test is unknown", "data": None}))
    assert "Token [API key] is unknown." in str(failed(search, deployment))


def test_error_drags_no_stack_of_the_libraries_along(memos: Memos) -> None:
    memos.plays(REFUSED, REFUSED, REFUSED)
    error = failed(search, CLOUD)
    assert error.__cause__ is None
    assert error.__suppress_context__
