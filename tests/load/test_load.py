"""Under load the plugin loses no call, no memory and no connection; `make soak` does the same for minutes."""

import gzip
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sandbox.scripted_server import Answer, Request, ScriptedServer
from tests.load.load import (
    KIB,
    MEMORY_LIMIT,
    MIB,
    MOST_AT_ONCE,
    SEARCH,
    TOO_LARGE,
    Load,
    Reply,
    growth,
    held_back,
    loaded,
    together,
    usual,
)

SOAK = "SOAK" in os.environ
IN_A_ROW = 50_000 if SOAK else 3000
MOST_GROWTH = 100.0 if SOAK else 400.0
"""Bytes that a call may leave behind: for some thousands of calls, allocator and caches still settle."""

LARGE = "x" * (MIB - KIB)
NOISE = random.Random(1).randbytes(MIB - KIB)  # noqa: S311 - nothing to hide
GZIP = {"Content-Encoding": "gzip"}
CLOSE = {"Connection": "close"}


@pytest.fixture
def load() -> Iterator[Load]:
    with loaded() as running:
        yield running


@pytest.fixture(scope="module")
def settled() -> Iterator[Load]:
    """One process for the tests of what is added to its memory."""
    with loaded() as running:
        yield running


def test_500_calls_run_at_once_and_1000_behind_them_finish(load: Load) -> None:
    # The server answers no sooner than 500 calls are there: if they did not run at once, none would finish.
    load.reply = together(500, lambda request: Answer(usual(request).body, delay=1))
    done = load.at_once(1500)
    assert [call.error for call in done if call.error] == []
    assert len(load.server.requests) == 1500


def test_1000_searches_at_once_need_no_more_connections_than_calls(load: Load) -> None:
    for _ in range(3 if SOAK else 2):
        load.server.requests.clear()
        load.reply = together(MOST_AT_ONCE, usual)
        done = load.at_once(MOST_AT_ONCE, SEARCH)
        assert [call.error for call in done if call.error] == []
        assert len({request.connection for request in load.server.requests}) == MOST_AT_ONCE
    # What must not be sent twice goes over fresh connections, which are not kept on top of those.
    load.reply = together(200, usual)
    done = load.at_once(200, ["add_memory"])
    assert [call.error for call in done if call.error] == []
    assert load.descriptors < MOST_AT_ONCE + 20


def test_calls_in_a_row_leave_nothing_behind(load: Load) -> None:
    curve = load.in_a_row(IN_A_ROW, samples=30)
    for sample in curve if SOAK else []:
        bar = "#" * round(sample.memory / MIB)
        print(f"{sample.calls:>8,} calls {sample.descriptors:>3} files {sample.memory / MIB:6.1f} MiB {bar}")  # noqa: T201
    assert growth(curve) < MOST_GROWTH, curve
    descriptors = [sample.descriptors for sample in curve[1:]]
    assert max(descriptors) - min(descriptors) <= 1


def test_500_replies_of_200_kib_at_once_fit_into_the_memory_of_the_manifest(load: Load) -> None:
    load.reply = together(500, held_back)
    done = load.at_once(500, SEARCH)
    assert [call.error for call in done if call.error] == []
    assert {len(call.variables["memories"]) for call in done} == {25}
    assert load.most_memory < MEMORY_LIMIT


@pytest.mark.parametrize(
    ("number", "how"),
    [
        *((MOST_AT_ONCE if SOAK or how == "chunked" else 200, how) for how in TOO_LARGE),
    ],
)
def test_replies_that_are_too_large_are_refused_and_held_to_the_limit(
    load: Load, number: int, how: str
) -> None:
    load.reply = together(number, lambda _: TOO_LARGE[how])
    done = load.at_once(number)
    for call in done:
        assert call.error is not None
        assert call.error.error_type == "MemosReplyError"
        assert "(too large)" in call.error.message
    # Of 64 MiB each, a call holds one at most.
    assert load.most_memory < MEMORY_LIMIT + number * MIB
    load.reply = usual
    assert load.call("search_memory").error is None


@pytest.mark.parametrize(
    ("start", "part", "end"),
    [
        ('{"code": 0, "data": {"memory_detail_list": [], "other": [', '{"a":{"b":1}},', "1]}}"),
        ('{"code": 0, "data": {"memory_detail_list": [{"memory_value": [', "[],", "[]]}]}}"),
    ],
    ids=["kept as it came", "written as text"],
)
def test_a_reply_of_very_many_parts_fits_into_the_memory_of_the_manifest(
    load: Load, start: str, part: str, end: str
) -> None:
    body = f"{start}{part * ((MIB - 200) // len(part))}{end}".encode()
    load.reply = lambda _: Answer(body)
    load.call()
    assert load.most_memory < MEMORY_LIMIT


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("user_messages", text) for text in ("1, ", "'a', ", "[", "a() + ", "-", "'\\", "{'a': {")),
        ("messages", "1, "),
    ],
)
def test_a_message_that_looks_like_a_list_takes_no_more_memory_than_another(
    settled: Load, field: str, text: str
) -> None:
    settled.reply = usual
    settled.call("add_memory", user_messages="x" * MIB)
    another = settled.most_memory
    settled.call("add_memory", **{field: f"[{text * (MIB // len(text))} and so on]"})
    assert settled.most_memory - another < 20 * MIB


def test_an_address_that_is_too_long_is_not_kept(settled: Load) -> None:
    def refused(number: int) -> None:
        assert settled.call(url=f"http://memos.example/{number}{'a' * MIB}").error is not None

    refused(0)
    before = settled.memory
    for number in range(1, 41):
        refused(number)
    assert settled.memory - before < 20 * MIB


def hang_up(_: Request) -> Answer:
    raise ConnectionResetError


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda _: Answer({"code": 40132, "message": LARGE}, status=401), id="401"),
        pytest.param(lambda _: Answer({"code": 77, "message": LARGE}), id="unknown code"),
        pytest.param(
            lambda _: Answer({"code": 0, "message": LARGE, "data": {"success": False}}), id="failed"
        ),
        pytest.param(lambda _: Answer({"code": 0, "data": {"memory_detail_list": LARGE}}), id="other shape"),
        pytest.param(lambda _: Answer(f"<html>{LARGE}".encode()), id="HTML"),
        pytest.param(lambda _: TOO_LARGE["chunked"], id="too large"),
        pytest.param(lambda _: TOO_LARGE["compressed"], id="too large, compressed"),
        pytest.param(lambda _: Answer(gzip.compress(NOISE)[:-1], headers=GZIP), id="broken compression"),
        pytest.param(
            lambda _: Answer(LARGE.encode(), status=503, headers={"Retry-After": "21600"}), id="503"
        ),
        pytest.param(lambda _: Answer(LARGE.encode(), status=302, headers={"Location": "/"}), id="302"),
        pytest.param(
            lambda _: Answer([LARGE.encode()], headers=CLOSE | {"Content-Length": "9" * 7}), id="cut off"
        ),
        pytest.param(lambda _: Answer(b"", headers=CLOSE), id="empty"),
        pytest.param(hang_up, id="no reply"),
    ],
)
def test_calls_that_fail_leave_neither_reply_nor_connection_behind(settled: Load, reply: Reply) -> None:
    settled.reply = reply
    for _ in range(2):
        before, kept = settled.memory, settled.descriptors
        for _ in range(3):
            assert all(call.error for call in settled.at_once(10))
    assert settled.memory - before < 15 * MIB
    assert settled.descriptors <= kept + 10  # as many may be kept to be used again


def test_connections_to_servers_that_are_asked_no_more_are_closed(settled: Load) -> None:
    before = settled.descriptors
    with ExitStack() as servers:
        for _ in range(130):
            server = servers.enter_context(ScriptedServer(usual))
            assert settled.call(url=server.url).error is None
        assert settled.descriptors - before <= 101
