"""The words that Troubleshooting explains are those that users see."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any, Never

import pytest

from memos_client import connections
from memos_client.client import SEARCH, MemosClient
from memos_client.dialects import SelfHostedDialect
from memos_client.errors import MemosError, no_room, not_understood, refusal
from memos_client.models import CLOUDS, AddRequest, Credentials, SearchRequest
from memos_client.results import LISTS, SearchResult
from sandbox.scripted_server import ScriptedServer
from tests.docs.pages import READMES, read, section, spans

HOST = "memos.example.com"
QUESTION: dict[str, Any] = {"query": "x", "user_id": "u"}
TURN: dict[str, Any] = {"user_messages": "x", "user_id": "u"}


def message(action: Any, *arguments: Any) -> str:
    with pytest.raises(MemosError) as raised:
        action(*arguments)
    return str(raised.value)


def reason(error: Exception) -> str:
    exchange = connections.Exchange(SEARCH, deadline=float("inf"), repeatable=True, fresh=False)
    return f"({connections.why_no_answer(error, exchange)[0]})"


def untrusted() -> Exception:
    error = ssl.SSLCertVerificationError()
    error.verify_code = 20  # OpenSSL's X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    return error


def hang_up(_: object) -> Never:
    raise ConnectionResetError


def seen() -> Iterator[str]:
    """What users see in the situations that Troubleshooting is about."""
    with ScriptedServer(hang_up) as server:
        url = server.url
        yield message(MemosClient({"memos_url": url}).add, AddRequest.parse(TURN))
    own = MemosClient({"memos_url": url})
    yield message(own.search, SearchRequest.parse(QUESTION))
    yield reason(socket.gaierror())
    yield reason(TimeoutError())
    yield reason(untrusted())
    yield message(MemosClient, {"memos_url": CLOUDS["memos.memtensor.cn"], "memos_api_key": "x"})
    yield str(refusal(HOST, 40132, ""))
    yield str(refusal(HOST, 404, ""))
    yield str(not_understood(HOST, "HTML"))
    yield message(SearchRequest.parse, {"query": "x"})
    yield message(SearchRequest.parse, QUESTION | {"user_id": "sys.user_id"})
    yield message(SearchRequest.parse, QUESTION | {"memory_limit_number": 26})
    yield message(AddRequest.parse, TURN | {"user_messages": "['a', 1]"})
    yield message(own.search, SearchRequest.parse(QUESTION | {"knowledgebase_ids": "k"}))
    yield str(no_room(HOST))
    dialect = SelfHostedDialect(Credentials.parse({"memos_url": url}))
    yield message(dialect.read_add, [], AddRequest.parse(TURN))
    yield SearchResult({name: [] for name in LISTS.values()}, "u", 0).text


@pytest.fixture(scope="module")
def messages() -> list[str]:
    return list(seen())


@pytest.mark.parametrize("language", READMES)
def test_what_is_explained_is_what_users_see(language: str, messages: list[str]) -> None:
    rows = read(READMES[language]).table(section("troubleshooting"))
    explained = [span for row in rows for span in spans(row[0])]
    assert len(explained) == len(rows) == len(messages)
    for words in explained:
        pieces = [piece.strip() for piece in words.split("…") if piece]
        assert any(all(piece in message for piece in pieces) for message in messages), words
