"""The scripted server records requests and answers from its script."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from sandbox.scripted_server import Answer, Request, ScriptedServer

post = functools.partial(requests.post, timeout=10)


def test_requests_are_recorded_and_answered_in_order_those_of_a_path_first() -> None:
    chunks = Answer([b"2\r\nab\r\n", b"0\r\n\r\n"], 502, {"Transfer-Encoding": "chunked"})
    with ScriptedServer(Answer({"code": 0}), chunks) as server, requests.Session() as session:
        server.script("/add?x=1", Answer(b"add"))
        headers = {"Authorization": "Token k"}
        replies = [session.post(f"{server.url}/add?x=1", json={"ä": [1]}, headers=headers) for _ in range(2)]
        replies.append(requests.get(server.url, timeout=10))

    assert [(reply.status_code, reply.text) for reply in replies] == [
        (200, "add"),
        (200, '{"code": 0}'),
        (502, "ab"),
    ]
    add, again, other = server.requests
    assert (add.method, add.path, add.json) == ("POST", "/add?x=1", {"ä": [1]})
    assert add.headers["authorization"] == "Token k"
    assert (other.method, other.path, other.body) == ("GET", "/", b"")
    assert [request.connection for request in (add, again, other)] == [0, 0, 1]


def test_a_function_answers_all_that_follows_side_by_side() -> None:
    def echo(request: Request) -> Answer:
        return Answer(request.body, delay=0.01)

    with ScriptedServer(Answer(b"first"), echo) as server, ThreadPoolExecutor(20) as threads:
        assert post(server.url).text == "first"
        bodies = list(threads.map(lambda n: post(server.url, data=str(n)).text, range(20)))

    assert bodies == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("script", "answer", "failure"),
    [
        ([], "599", "nothing was scripted for POST /add"),
        ([lambda _: 1 / 0], "RemoteDisconnected", "ZeroDivisionError"),
    ],
)
def test_what_the_script_cannot_answer_fails_the_block(script: list[Any], answer: str, failure: str) -> None:
    with (
        pytest.raises(AssertionError, match=failure),
        ScriptedServer(*script) as server,
        pytest.raises(requests.RequestException, match=answer),
    ):
        post(f"{server.url}/add").raise_for_status()


def test_end_of_the_block_waits_for_no_client() -> None:
    arrived = threading.Event()

    def late(_: Request) -> Answer:
        arrived.set()
        return Answer(delay=3600)

    with ThreadPoolExecutor(1) as threads:
        with ScriptedServer(late) as server:
            waiting = threads.submit(requests.post, server.url, timeout=3600)
            arrived.wait()
        with pytest.raises(requests.ConnectionError):
            waiting.result()
