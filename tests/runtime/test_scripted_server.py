"""The scripted server records requests and answers from its script, over HTTP and HTTPS."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import trustme

from sandbox.scripted_server import Answer, Request, ScriptedServer

post = functools.partial(requests.post, timeout=10)


def test_answers_come_in_order_and_requests_are_recorded() -> None:
    failure = Answer(b"<html>", 502, {"Content-Type": "text/html"})
    with ScriptedServer(Answer({"code": 0}), failure) as server:
        first = post(f"{server.url}/add?x=1", json={"ä": [1]}, headers={"Authorization": "Token k"})
        second = requests.get(f"{server.url}/other", timeout=10)

    assert (first.status_code, first.json()) == (200, {"code": 0})
    assert first.headers["Content-Type"] == "application/json"
    assert (second.status_code, second.content) == (502, b"<html>")
    assert second.headers["Content-Type"] == "text/html"
    add, other = server.requests
    assert (add.method, add.path, add.json) == ("POST", "/add?x=1", {"ä": [1]})
    assert add.headers["authorization"] == "Token k"
    assert (other.method, other.path, other.body) == ("GET", "/other", b"")


def test_script_of_a_path_goes_before_that_of_all_paths() -> None:
    with ScriptedServer(Answer(b"any")) as server:
        server.script("/add", Answer(b"add"))
        bodies = [post(f"{server.url}/add").content for _ in range(2)]

    assert bodies == [b"add", b"any"]


def test_function_answers_all_requests_that_follow() -> None:
    def echo(request: Request) -> Answer:
        return Answer(request.body, delay=0.01)

    with ScriptedServer(Answer(b"first"), echo) as server, ThreadPoolExecutor(20) as threads:
        first = post(server.url, data="0").text
        bodies = list(threads.map(lambda n: post(server.url, data=str(n)).text, range(1, 21)))

    assert [first, *bodies] == ["first", *map(str, range(1, 21))]


def test_connections_are_kept_alive_and_numbered() -> None:
    with ScriptedServer(lambda _: Answer()) as server:
        with requests.Session() as session:
            session.post(server.url)
            session.post(server.url)
        post(server.url)

    assert [request.connection for request in server.requests] == [0, 0, 1]


def test_request_without_script_fails_the_block() -> None:
    with (
        pytest.raises(AssertionError, match="nothing was scripted for POST /add"),
        ScriptedServer() as server,
    ):
        status = post(f"{server.url}/add").status_code

    assert status == 599
    assert [request.path for request in server.requests] == ["/add"]


def test_broken_function_fails_the_block() -> None:
    with (
        pytest.raises(AssertionError, match="ZeroDivisionError"),
        ScriptedServer(lambda _: 1 / 0) as server,
        pytest.raises(requests.ConnectionError),
    ):
        post(server.url)


def test_end_of_the_block_waits_for_no_client() -> None:
    arrived = threading.Event()

    def late(_: Request) -> Answer:
        arrived.set()
        return Answer(delay=3600)

    with requests.Session() as session, ThreadPoolExecutor(1) as threads:
        with ScriptedServer(Answer(), late) as server:
            session.post(server.url)
            waiting = threads.submit(requests.post, server.url, timeout=3600)
            arrived.wait()
        with pytest.raises(requests.ConnectionError):
            waiting.result()


@pytest.mark.parametrize(
    ("host", "trusted", "refusal"),
    [
        ("127.0.0.1", True, None),
        ("127.0.0.1", False, "unable to get local issuer"),
        ("memos.example", True, "IP address mismatch"),
    ],
)
def test_https_proves_itself_with_its_certificate(
    host: str, trusted: bool, refusal: str | None, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trust = str(tmp_path / "ca.pem") if trusted else True

    with ScriptedServer(Answer(b"safe"), certificate=authority.issue_cert(host)) as server:
        if refusal is None:
            assert post(server.url, verify=trust).content == b"safe"
        else:
            with pytest.raises(requests.exceptions.SSLError, match=refusal):
                post(server.url, verify=trust)

    assert len(server.requests) == (refusal is None)
