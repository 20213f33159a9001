"""HTTP: what is sent and how often, and what is read of a reply.

Real sockets, with their timeouts and broken connections, are in tests/faults.
"""

import gzip
import ssl
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from memos_client import transport
from memos_client.errors import MemosConnectionError, MemosReplyError
from memos_client.transport import LARGEST_REPLY, Limits, Reply
from tests.unit.samples import Answer, FakeMemos, Lost, cases, failure

URL = "https://memos.example:8000/product/search"
HEADERS = {"Accept": "application/json", "Authorization": "Token mpg-test"}
NOW = 1767484800
HALF_A_MINUTE = Limits(30)
REFUSED = Lost(ConnectionRefusedError(), sent=False)
DROPPED = Lost(ConnectionResetError())
GZIP = {"Content-Encoding": "gzip"}


def send(*, repeatable: bool = True, limits: Limits = HALF_A_MINUTE) -> Reply:
    return transport.send(URL, HEADERS, b"{}", limits, repeatable=repeatable)


UNAVAILABLE = Answer(status=503)
AT_ONCE = Answer(status=503, headers={"Retry-After": "0"})
MOVED = Answer(status=308, headers={"Location": "https://elsewhere.example/"})
NO_TLS = Lost(ssl.SSLError(), sent=False)
FINE = Answer(b"{}")


@cases(
    "repeatable, answers, status",
    {
        "search that never left": (True, [REFUSED, REFUSED, FINE], 200),
        "add that never left": (False, [REFUSED, REFUSED, FINE], 200),
        "search that was dropped": (True, [DROPPED, FINE], 200),
        "search in a bad moment": (True, [UNAVAILABLE, FINE], 200),
        "search in a long bad moment": (True, [UNAVAILABLE, UNAVAILABLE], 503),
        "search that then never left": (True, [DROPPED, REFUSED, FINE], 200),
        "search that was dropped twice": (True, [DROPPED, DROPPED], None),
        "add in a bad moment": (False, [UNAVAILABLE], 503),
        "add that was dropped": (False, [DROPPED], None),
        "search answered for good": (True, [Answer(status=500)], 500),
        "search that is redirected": (True, [MOVED], 308),
        "search without TLS": (True, [NO_TLS], None),
    },
)
def test_request_is_sent_as_often_as_was_decided(
    memos: FakeMemos, pauses: list[float], repeatable: bool, answers: list[Answer | Lost], status: int | None
) -> None:
    memos.answers(*answers)
    if status:
        assert send(repeatable=repeatable).status == status
    else:
        words = "TLS failed" if answers == [NO_TLS] else "connection dropped"
        assert f"({words})" in str(failure(send, repeatable=repeatable))
    assert (memos.tries, len(pauses)) == (len(answers), len(answers) - 1)
    for number, pause in enumerate(pauses, 1):
        assert 0.1 * number <= pause <= 0.3 * number


def test_statuses_that_may_pass_are_four(memos: FakeMemos) -> None:
    passing = set()
    for status in range(100, 600):
        memos.tries, answer = 0, Answer(status=status)
        memos.otherwise = lambda _, answer=answer: answer
        assert send().status == status
        passing |= {status} if memos.tries > 1 else set()
    assert passing == {429, 502, 503, 504}


def test_what_has_one_try_is_not_repeated(memos: FakeMemos) -> None:
    memos.answers(UNAVAILABLE, REFUSED)
    assert send(limits=Limits(30, tries=1)).status == 503
    assert failure(send, limits=Limits(30, tries=1)).refused


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize(
    ("error", "words"),
    [(ConnectionRefusedError(), "connection refused"), (OSError(113, "No route to host"), "no connection")],
)
def test_request_that_never_left_is_given_up_after_three_tries(
    memos: FakeMemos, error: Exception, words: str, repeatable: bool
) -> None:
    memos.answers(*[Lost(error, sent=False)] * 3)
    told = failure(send, repeatable=repeatable)
    assert str(told) == (
        f"No answer from MemOS at memos.example:8000 ({words}). "
        "Check the MemOS URL, and that Dify can reach it."
    )
    assert told.refused
    assert told.__context__ is None


@pytest.mark.parametrize(("repeatable", "own_connections"), [(True, 1), (False, 2)])
def test_only_first_tries_of_what_only_reads_use_a_shared_connection(
    memos: FakeMemos, monkeypatch: pytest.MonkeyPatch, repeatable: bool, own_connections: int
) -> None:
    transport._shared_adapter()
    made, make = list[int](), transport._Adapter
    monkeypatch.setattr(transport, "_Adapter", lambda: made.append(1) or make())
    memos.answers(REFUSED, FINE)
    send(repeatable=repeatable)
    assert len(made) == own_connections


@cases(
    "limits, answers, words",
    {
        "no connection": (Limits(30, connect=0.01), [Lost(None, sent=False)], "no connection within 0.01 s"),
        "not connected in all": (Limits(0.01), [Lost(None, sent=False)], "not complete within 0.01 s"),
        "silent": (Limits(0.01), [Lost(None)], "silent for 0.01 s"),
        "silent the second time": (Limits(0.05), [AT_ONCE, Lost(None)], "not complete within 0.05 s"),
    },
)
def test_time_limits_end_a_call(
    memos: FakeMemos, limits: Limits, answers: list[Answer | Lost], words: str
) -> None:
    memos.answers(*answers)
    error = failure(send, limits=limits)
    assert type(error) is MemosConnectionError
    assert f"({words})" in str(error)
    assert error.refused is not answers[-1].sent


def test_request_has_these_headers_and_no_others(
    memos: FakeMemos, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine memos.example login user password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    memos.answers(FINE)
    send()
    assert dict(memos.requests[0].headers) == HEADERS | {"Content-Length": "2"}


def test_nothing_of_a_call_is_kept_for_the_next(memos: FakeMemos) -> None:
    memos.answers(Answer(headers={"Set-Cookie": "session=1; Path=/"}), Answer())
    send()
    transport.send(URL, {}, b"{}", HALF_A_MINUTE, repeatable=True)
    assert dict(memos.requests[1].headers) == {"Content-Length": "2"}


@cases(
    "asked, least, most",
    {
        "seconds": ("7", 7, 7),
        "at once": ("0", 0, 0),
        "date": (formatdate(NOW + 20, usegmt=True), 20, 20),
        "date that has passed": (formatdate(NOW - 50, usegmt=True), 0, 0),
        "word": ("soon", 0.1, 0.3),
        "negative": ("-5", 0.1, 0.3),
        "fraction": ("1.5", 0.1, 0.3),
        "empty": ("", 0.1, 0.3),
        "beyond the limit": ("30", None, None),
        "far beyond the limit": ("9" * 400, None, None),
        "date beyond the limit": (formatdate(NOW + 3600, usegmt=True), None, None),
    },
)
def test_retry_after_is_obeyed_within_the_limit(
    memos: FakeMemos,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    least: float | None,
    most: float | None,
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    memos.answers(Answer(status=503, headers={"Retry-After": asked}), *[FINE] * (least is not None))
    assert send().status == (503 if least is None else 200)
    assert not pauses if least is None or most is None else least <= pauses[0] <= most


@cases(
    "answer, what",
    {
        "plain": (Answer(b" " * LARGEST_REPLY), ""),
        "compressed": (Answer(gzip.compress(b" " * LARGEST_REPLY), headers=GZIP), ""),
        "plain too large": (Answer(b" " * (LARGEST_REPLY + 1)), "too large"),
        "unpacked too large": (Answer(gzip.compress(b" " * (LARGEST_REPLY + 1)), headers=GZIP), "too large"),
        "no compression": (Answer(b"{}", headers=GZIP), "broken compression"),
    },
)
def test_reply_is_read_unpacked_and_up_to_the_limit(memos: FakeMemos, answer: Answer, what: str) -> None:
    memos.answers(answer)
    if what:
        error = failure(send)
        assert type(error) is MemosReplyError
        assert f"({what})" in str(error)
    else:
        assert send().body == b" " * LARGEST_REPLY


@pytest.mark.parametrize("status", [100, 101, 199, 204, 304])
def test_body_that_must_not_be_there_is_left_unread(memos: FakeMemos, status: int) -> None:
    memos.answers(Answer(b'{"code": 0}', status))
    assert send()[::2] == (status, b"")


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
def test_own_host_that_does_not_answer_is_told_to_be_a_container(memos: FakeMemos, host: str) -> None:
    memos.answers(*[REFUSED] * 3, DROPPED)
    for repeatable, told in ((True, True), (False, False)):
        url = f"http://{host}/product/search"
        error = failure(transport.send, url, {}, b"{}", HALF_A_MINUTE, repeatable=repeatable)
        assert ("localhost is the container that Dify's plugin daemon runs in." in str(error)) is told
