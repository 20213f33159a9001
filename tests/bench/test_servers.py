"""The stand-in answers what and when its path says, and the relay delays as a long way does."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from memos_client.dialects import dialect_for
from memos_client.models import Credentials, SearchRequest
from sandbox.bench.helper import Helper, tally
from sandbox.bench.links import Link
from sandbox.bench.replies import Counts, reply

ROUND_TRIP = 0.1


def ask(url: str) -> bytes:
    request = urllib.request.Request(f"{url}/search/memory", b"{}")  # noqa: S310 - our own
    with urllib.request.urlopen(request) as response:  # noqa: S310 - our own
        body: bytes = response.read()
    return body


@pytest.mark.parametrize("counts", [(6, 6, 0, 0), (0, 0, 1, 0), (25, 25, 25, 25)], ids=str)
def test_reply_holds_the_memories_that_it_should(link: Link, counts: Counts) -> None:
    body = ask(link.url(counts))
    assert body == reply(counts)
    credentials = {"memos_url": link.url(counts), "memos_api_key": "Token mpg-test"}
    limits = (
        "memory_limit_number",
        "preference_limit_number",
        "tool_memory_limit_number",
        "skill_limit_number",
    )
    request = SearchRequest(
        query="food",
        user_id="user-1",
        include_tool_memory=True,
        include_skill=True,
        **dict.fromkeys(limits, 25),
    )
    result = dialect_for(Credentials.parse(credentials)).read_search(json.loads(body)["data"], request)
    kinds = [memory["kind"] for memory in result.variables["memories"]]
    assert tuple(kinds.count(kind) for kind in ("fact", "preference", "tool", "skill")) == counts
    assert all(
        memory["text"] in result.text or "<" in memory["text"] for memory in result.variables["memories"]
    )


def test_server_thinks_before_it_answers(link: Link) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(ask, [link.url(seconds=0.3)] * 5))
    elapsed = time.monotonic() - started
    assert 0.3 <= elapsed < 5 * 0.3


def test_other_paths_are_not_found(link: Link) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(f"http://127.0.0.1:{link.port}/elsewhere")
    caught.value.close()
    assert caught.value.code == 404


def test_searches_and_connections_are_counted(link: Link) -> None:
    before = tally(link.port)
    for _ in range(3):
        ask(link.url())
    assert tally(link.port) == {name: number + 3 for name, number in before.items()}


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of a server that says everything back."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        for _ in iter(int, 1):
            try:
                connection, _ = server.accept()
            except OSError:
                return
            served.append(threading.Thread(target=serve, args=[connection]))
            served[-1].start()

    served: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for thread in served:
        thread.join()


@pytest.fixture(scope="module")
def far(echo: int) -> Iterator[int]:
    """The port of a relay to that server."""
    with Helper("sandbox.bench.relay", str(echo), str(ROUND_TRIP)) as relay:
        yield relay.port


def say(connection: socket.socket, data: bytes) -> float:
    """Say it, hear it back, and return the seconds between."""
    started = time.monotonic()
    sending = threading.Thread(target=connection.sendall, args=[data])
    sending.start()
    heard = b""
    while len(heard) < len(data):
        heard += connection.recv(65536)
    sending.join()
    assert heard == data
    return time.monotonic() - started


def test_relay_takes_a_round_trip_and_one_more_to_connect(far: int) -> None:
    with socket.create_connection(("127.0.0.1", far)) as connection:
        assert say(connection, b"first") >= 2 * ROUND_TRIP
        seconds = [say(connection, b"then") for _ in range(3)]
    assert min(seconds) >= ROUND_TRIP
    assert min(seconds) < 2 * ROUND_TRIP


def test_relay_keeps_the_order_of_bytes(far: int) -> None:
    with socket.create_connection(("127.0.0.1", far)) as connection:
        say(connection, b"".join(number.to_bytes(4) for number in range(200_000)))


def test_relay_lets_connections_travel_side_by_side(far: int) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(40) as threads:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", far))) for _ in range(40)]
        started = time.monotonic()
        list(threads.map(say, connections, [b"together"] * 40))
        elapsed = time.monotonic() - started
    assert elapsed < 40 * ROUND_TRIP / 2


def test_relay_passes_on_the_end_of_a_connection(far: int) -> None:
    with socket.create_connection(("127.0.0.1", far)) as connection:
        say(connection, b"hello")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
