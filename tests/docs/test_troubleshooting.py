"""The words that Troubleshooting explains are those that users see."""

import ssl
from collections.abc import Iterator, Mapping
from socket import gaierror
from typing import Any, Never

import pytest

from memos_client import errors, transport
from memos_client.client import SEARCH, MemosClient
from memos_client.credentials import CLOUDS, read_credentials
from memos_client.envelope import unwrap
from memos_client.errors import MemosError
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.outputs import of_search
from memos_client.self_hosted import SelfHostedDialect
from memos_client.transport import Reply
from sandbox.scripted_server import ScriptedServer
from tests.docs.pages import READMES, read, section, spans

HOST = "memos.example.com"
NODE = Caller("u", app_id="a", conversation_id=None, api_key="")
AGENT = Caller("u", app_id=None, conversation_id=None, api_key="")
NOBODY = Caller(None, app_id="a", conversation_id=None, api_key="")
QUESTION = {"query": "x"}
TURN = {"user_messages": "x"}


def message(action: Any, *arguments: Any) -> str:
    with pytest.raises(MemosError) as raised:
        action(*arguments)
    return str(raised.value)


def search(given: Mapping[str, Any], caller: Caller = NODE) -> str:
    return message(SearchRequest.parse, QUESTION | given, caller)


def unanswered(failure: Exception | str) -> str:
    sending = transport._Sending()
    why = transport._Failure(failure) if isinstance(failure, str) else transport._why(failure)
    sending.failure = why
    return str(sending.error(HOST, ""))


def untrusted() -> Exception:
    error = ssl.SSLCertVerificationError()
    error.verify_code = 20  # OpenSSL's X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    return error


def silent() -> str:
    sending = transport._Sending()
    sending.sent = True
    return str(sending.error(HOST, f"silent for {SEARCH.total:g} s"))


def hang_up(_: object) -> Never:
    raise ConnectionResetError


def answered(status: int, body: bytes = b"", **headers: str) -> str:
    return message(unwrap, HOST, Reply(status, headers, body), "a key of some length")


def seen() -> Iterator[str]:
    """What users see in the situations that Troubleshooting is about."""
    with ScriptedServer(hang_up) as server:
        url = server.url
        yield message(MemosClient({"memos_url": url}).add, AddRequest.parse(TURN, NODE))
    own = MemosClient({"memos_url": url})
    yield message(own.search, SearchRequest.parse(QUESTION, NODE))
    yield unanswered(gaierror())
    yield unanswered(f"no connection within {SEARCH.connect:g} s")
    yield silent()
    yield unanswered(untrusted())
    yield answered(407)
    yield message(MemosClient, {"memos_url": CLOUDS["memos.memtensor.cn"], "memos_api_key": "x"})
    yield str(errors.error_of_code(HOST, 40132, ""))
    yield answered(403, b"<html>")
    yield answered(200, b"<html>")
    yield answered(404)
    yield answered(301, Location="https://memos.example.com/")
    yield search({}, NOBODY)
    yield search({"user_id": "sys.user_id"})
    yield search({"user_id": "{{user_id}}"})
    yield search({"user_id": "DEFAULT-USER"})
    yield search({"user_id": "somebody else"}, AGENT)
    yield search({"query": ""})
    yield message(AddRequest.parse, {}, NODE)
    yield message(AddRequest.parse, {"user_messages": "['a', 1]"}, NODE)
    yield search({"memory_limit_number": 26})
    yield search({"filter": "scene="})
    yield message(own.search, SearchRequest.parse(QUESTION | {"knowledgebase_ids": "k"}, NODE))
    yield of_search(SearchRequest.parse(QUESTION, NODE), []).text
    dialect = SelfHostedDialect(read_credentials({"memos_url": url}))
    yield message(dialect.read_add, [], AddRequest.parse(TURN, NODE))


@pytest.fixture(scope="module")
def messages() -> list[str]:
    return list(seen())


@pytest.mark.parametrize("language", READMES)
def test_what_is_explained_is_what_users_see(language: str, messages: list[str]) -> None:
    items = read(READMES[language]).items_of(section("troubleshooting"))
    explained = [spans(item)[0] for item in items]
    assert [
        item for item, words in zip(items, explained, strict=True) if not item.startswith(f"`{words}`")
    ] == []
    assert len(explained) == len(messages)
    for words in explained:
        pieces = [piece.strip() for piece in words.split("…") if piece]
        assert any(all(piece in message for piece in pieces) for message in messages), words
