"""Under load the plugin loses no call, no memory and no connection: the short form of `make soak`."""

import gc
import gzip
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memos_client.client import MemosClient, _server
from memos_client.connections import LARGEST_REPLY, Patience
from memos_client.errors import MemosError, MemosInputError
from memos_client.models import AddRequest, SearchRequest
from sandbox.scripted_server import Answer, ScriptedServer
from sandbox.soak import KIB, MEMORY_LIMIT, MIB, MOST_AT_ONCE, POURS, REFUSALS, Load, growth

LARGE = "x" * 3 * MIB
NOISE = random.Random(1).randbytes(3 * MIB)  # noqa: S311 - nothing to hide
GZIP = {"Content-Encoding": "gzip"}
MOST_GROWTH = 400.0
"""Bytes that a call may leave behind: for some thousands of calls, allocator and caches still settle."""


@pytest.fixture
def load() -> Iterator[Load]:
    with Load() as running:
        yield running


def test_500_calls_run_at_once_and_1000_behind_them_finish(load: Load) -> None:
    # The server answers no sooner than 500 calls are there: if they did not run at once, none would finish.
    done = load.at_once(1500, seconds=1, together=500)
    assert [call.error for call in done if call.error] == []
    assert 500 <= load.counts["most"] <= MOST_AT_ONCE
    assert load.counts["calls"] == 1500


def test_1000_connections_are_kept_and_used_again(load: Load) -> None:
    for _ in range(2):
        done = load.at_once(MOST_AT_ONCE, ["search_memory"], together=MOST_AT_ONCE)
        assert [call.error for call in done if call.error] == []
    counts = load.counts
    assert counts["most"] == MOST_AT_ONCE
    assert (counts["accepted"], counts["open"]) == (MOST_AT_ONCE, MOST_AT_ONCE)
    # What must not be sent twice goes over fresh connections, which take the places of old ones.
    done = load.at_once(200, ["add_memory"], together=200)
    assert [call.error for call in done if call.error] == []
    assert load.counts["open"] <= MOST_AT_ONCE
    assert load.descriptors < MOST_AT_ONCE + 20


def test_calls_in_a_row_leave_nothing_behind(load: Load) -> None:
    curve = load.in_a_row(3000, samples=30)
    assert growth(curve) < MOST_GROWTH, curve
    settled = curve[1:]
    assert {sample.descriptors for sample in settled} == {settled[0].descriptors}
    assert {sample.connections for sample in settled} == {settled[0].connections}


def test_500_replies_of_200_kib_at_once_fit_into_the_memory_of_the_manifest(load: Load) -> None:
    done = load.at_once(500, ["search_memory"], together=500, size=200 * KIB, seconds=2)
    assert [call.error for call in done if call.error] == []
    assert min(len(call.variables["memory_context"]) for call in done) > 180 * KIB
    assert load.most_memory < MEMORY_LIMIT


@pytest.mark.parametrize(("number", "how"), [*((200, how) for how in POURS), (MOST_AT_ONCE, "chunked")])
def test_replies_that_are_too_large_are_refused_and_not_held(load: Load, number: int, how: str) -> None:
    done = load.at_once(number, together=number, pours=how)
    for call in done:
        assert call.error is not None
        assert call.error.error_type == "MemosReplyError"
        assert any(words in call.error.message for words in REFUSALS)
    assert load.most_memory < MEMORY_LIMIT
    assert load.call("search_memory").error is None


@pytest.mark.parametrize(
    ("start", "part", "end"),
    [
        ('{"code": 0, "data": {"memory_detail_list": [], "other": [', '{"a":{"b":1}},', "1]}}"),
        ('{"code": 0, "data": {"memory_detail_list": [{"memory_value": [', "[],", "[]]}]}}"),
    ],
    ids=["kept as it came", "written as text"],
)
@pytest.mark.parametrize("parts", [190_000, 210_000, 2_000_000])
def test_a_reply_of_very_many_parts_fits_into_the_memory_of_the_manifest(
    load: Load, parts: int, start: str, part: str, end: str
) -> None:
    number = min(parts // sum(map(part.count, "[{,")), (LARGEST_REPLY - 200) // len(part))
    body = f"{start}{part * number}{end}".encode()
    with ScriptedServer(lambda _: Answer(body)) as server:
        known = {"memos_url": f"{server.url}/openmem/v1", "memos_api_key": "mpg-test"}
        done = load.plugin.invoke("search_memory", {"query": "x"}, known, user_id="user-1")
    if parts < 200_000:
        assert done.error is None
    else:
        assert done.error is not None
        assert "(too large)" in done.error.message
    assert load.most_memory < MEMORY_LIMIT


@contextmanager
def traced() -> Iterator[None]:
    """Count the memory that Python takes inside; no garbage is collected meanwhile."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize("text", ["1, ", "'a', ", "[", "a() + ", "-", "'\\", "{'a': {"])
def test_a_message_that_looks_like_a_list_takes_no_more_memory_than_another(text: str) -> None:
    message = f"[{text * (MIB // len(text))} and so on]"
    with traced():
        AddRequest.parse({"user_messages": message}, user_id="user-1")
        _, most = tracemalloc.get_traced_memory()
    assert most < 20 * MIB


def test_an_address_that_is_too_long_is_not_kept_in_any_cache() -> None:
    with traced():
        for number in range(20):
            with pytest.raises(MemosInputError):
                MemosClient({"memos_url": f"http://memos.example/{number}{'a' * MIB}"})
        held, _ = tracemalloc.get_traced_memory()
    assert held < MIB


def test_a_list_of_very_many_wrong_messages_takes_no_more_memory_than_its_text() -> None:
    text = f"[{'1,' * (MIB // 2)}1]"
    with traced():
        with pytest.raises(MemosInputError):
            AddRequest.parse({"messages": text}, user_id="user-1")
        _, most = tracemalloc.get_traced_memory()
    assert most < 20 * MIB


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer({"code": 40132, "message": LARGE}, status=401), id="401"),
        pytest.param(Answer({"code": 77, "message": LARGE}), id="unknown code"),
        pytest.param(Answer({"code": 0, "message": LARGE, "data": {"success": False}}), id="failed"),
        pytest.param(Answer({"code": 0, "data": {"memory_detail_list": LARGE}}), id="other shape"),
        pytest.param(Answer(f"<html>{LARGE}".encode()), id="HTML"),
        pytest.param(Answer(LARGE.encode() * 2), id="too large, as it says"),
        pytest.param(Answer(gzip.compress(LARGE.encode() * 2), headers=GZIP), id="too large, compressed"),
        pytest.param(Answer(LARGE.encode(), headers={"Content-Length": str(len(LARGE) + 1)}), id="cut off"),
        pytest.param(Answer(gzip.compress(NOISE)[:-1], headers=GZIP), id="broken compression"),
        pytest.param(Answer(LARGE.encode(), status=503, headers={"Retry-After": "21600"}), id="503"),
        pytest.param(Answer(LARGE.encode(), status=302, headers={"Location": "/elsewhere"}), id="302"),
    ],
)
def test_an_error_keeps_no_reply_in_memory_until_garbage_is_collected(answer: Answer) -> None:
    def failing(client: MemosClient) -> None:
        with pytest.raises(MemosError):
            client.search(SearchRequest.parse({"query": "x"}, user_id="user-1"), patience)

    patience = Patience(silence=0.3, ceiling=30, tries=1)
    with ScriptedServer(lambda _: answer) as server:
        client = MemosClient({"memos_url": f"{server.url}/openmem/v1", "memos_api_key": "mpg-test"})
        failing(client)
        with traced():
            for _ in range(3):
                failing(client)
            held, _ = tracemalloc.get_traced_memory()
    assert held < MIB


def hang_up(_: object) -> Answer:
    raise ConnectionResetError


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(hang_up, id="no reply"),
        pytest.param(lambda _: Answer(LARGE.encode() * 2), id="too large"),
        pytest.param(lambda _: Answer(b"{", headers={"Content-Length": "2"}), id="cut off"),
        pytest.param(lambda _: Answer(b"", headers={"Connection": "close"}), id="empty"),
    ],
)
def test_a_connection_that_failed_is_closed_while_its_error_is_still_kept(
    handler: Callable[[Any], Answer],
) -> None:
    patience = Patience(silence=0.3, ceiling=30, tries=1)
    before, kept = descriptors(), []
    with ScriptedServer(handler) as server:
        client = MemosClient({"memos_url": f"{server.url}/openmem/v1", "memos_api_key": "mpg-test"})
        for _ in range(3):
            with pytest.raises(MemosError) as caught:
                client.search(SearchRequest.parse({"query": "x"}, user_id="user-1"), patience)
            kept.append(caught.value)
    assert descriptors() == before
    assert len(kept) == 3


def test_the_connections_of_a_server_that_is_forgotten_are_closed() -> None:
    found = Answer({"code": 0, "data": {"memory_detail_list": []}})
    with ScriptedServer(lambda _: found) as server:
        client = MemosClient({"memos_url": f"{server.url}/openmem/v1", "memos_api_key": "mpg-test"})
        client.search(SearchRequest.parse({"query": "x"}, user_id="user-1"))
        kept = descriptors()
        _server.cache_clear()  # as the hundred servers that come next would
        give_up = time.monotonic() + 5
        while descriptors() > kept - 2:  # both ends
            assert time.monotonic() < give_up
            time.sleep(0.01)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
