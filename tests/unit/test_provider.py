"""The provider proves the credentials with one harmless search, and explains what is wrong with them."""

from typing import Any

import pytest
from dify_plugin.errors.tool import ToolProviderCredentialValidationError

from memos_client.client import MemosClient
from memos_client.errors import MemosError
from memos_client.models import SearchRequest
from provider.memos import MemosProvider
from tests.unit.samples import CLOUD, Deployment, Lost, Memos, Reply, Step, cases, of_each


@of_each("limit", "memory_limit_number", "top_k")
def test_credentials_are_proven_by_a_search_for_one_result(
    memos: Memos, deployment: Deployment, limit: str
) -> None:
    memos.plays(deployment.says(deployment.nothing), deployment.says(deployment.found))
    provider = MemosProvider()
    provider.validate_credentials(deployment.credentials)
    provider.validate_credentials(deployment.credentials)
    first, second = memos.requests
    assert first.url == deployment.url + deployment.paths[0]
    assert first.headers["Authorization"] == "Token mpg-test"
    assert first.json == second.json
    assert (first.json[limit], first.json["include_preference"]) == (1, False)
    assert memos.connections == [5, 5]
    assert max(memos.silences) <= 15


@cases(
    "step",
    {
        "key": Reply({"code": 40132, "message": "API Key is invalid or expired"}),
        "quota": Reply({"code": 40304, "message": "Account API call quota exhausted"}, 429),
        "404": Reply(b"<html>", 404),
        "HTML": Reply(b"<html>"),
        "503": Reply({}, 503),
        "dropped": b"",
        "refused": Lost(ConnectionRefusedError(), "connect"),
    },
)
def test_failure_is_told_in_the_words_of_the_tools_and_not_repeated(
    memos: Memos, deployment: Deployment, step: Step
) -> None:
    memos.plays(step)
    with pytest.raises(ToolProviderCredentialValidationError) as caught:
        MemosProvider().validate_credentials(deployment.credentials)
    memos.plays(*[step] * 3)
    with pytest.raises(MemosError) as told:
        MemosClient(deployment.credentials).search(SearchRequest(query="food", user_id="user-1"))
    assert str(caught.value) == str(told.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    memos.script.clear()


@cases(
    "credentials, words",
    {
        "nothing": ({}, "memos_url: needed."),
        "no key": ({"memos_url": CLOUD.url, "memos_api_key": None}, "memos_api_key: the MemOS cloud needs "),
        "other key": ({"memos_url": CLOUD.url, "memos_api_key": "Bearer mpg-test"}, "memos_api_key: not a "),
        "no scheme": ({"memos_url": "memos.example"}, "memos_url: wants an address that starts with "),
        "no such kind": ({"memos_url": "http://memos.example", "deployment": "x"}, "deployment: wants "),
    },
)
def test_credentials_that_cannot_be_right_are_refused_unsent(
    memos: Memos, credentials: dict[str, Any], words: str
) -> None:
    with pytest.raises(ToolProviderCredentialValidationError) as caught:
        MemosProvider().validate_credentials(credentials)
    assert str(caught.value).startswith(words)
    assert "mpg-test" not in str(caught.value)
    assert not memos.connections
