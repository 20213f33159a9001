"""The provider proves the credentials, and says in the tools' own words what is wrong with them."""

from typing import Any

import pytest
from dify_plugin.errors.model import CredentialsValidateFailedError

from provider.memos import MemosProvider
from tests.unit.samples import CLOUD, KEY, Answer, Deployment, FakeMemos, Lost, cases, failure


def test_credentials_that_work_are_accepted(memos: FakeMemos, deployment: Deployment) -> None:
    memos.answers(deployment.says(deployment.nothing), deployment.says(deployment.found))
    MemosProvider().validate_credentials(deployment.credentials)
    MemosProvider().validate_credentials(deployment.credentials)
    assert memos.tries == 2


@cases(
    "answer",
    {
        "key": Answer({"code": 40132, "message": "API Key is invalid or expired"}),
        "page": Answer(b"<html>"),
        "503": Answer(b"", 503),
        "unknown shape": Answer({"code": 0, "data": []}),
        "dropped": Lost(ConnectionResetError()),
        "refused": Lost(ConnectionRefusedError(), sent=False),
    },
)
def test_failure_is_told_in_the_words_of_the_tools_and_not_repeated(
    memos: FakeMemos, deployment: Deployment, answer: Answer | Lost
) -> None:
    memos.answers(answer)
    with pytest.raises(CredentialsValidateFailedError) as caught:
        MemosProvider().validate_credentials(deployment.credentials)
    memos.answers(*[answer] * 3)
    assert str(caught.value) == str(failure(deployment.search))
    memos.planned.clear()
    assert caught.value.__suppress_context__


@cases(
    "credentials, words",
    {
        "nothing": ({}, "memos_url: needed."),
        "no key": ({"memos_url": CLOUD.url}, "memos_api_key: the MemOS cloud needs a key; "),
        "other key": (
            {"memos_url": CLOUD.url, "memos_api_key": f"Bearer {KEY}"},
            "memos_api_key: not a key ",
        ),
        "no scheme": ({"memos_url": "memos.example"}, "memos_url: wants an address that starts with "),
    },
)
def test_credentials_that_cannot_be_right_are_refused_unsent(
    memos: FakeMemos, credentials: dict[str, Any], words: str
) -> None:
    with pytest.raises(CredentialsValidateFailedError) as caught:
        MemosProvider().validate_credentials(credentials)
    assert str(caught.value).startswith(words)
    assert KEY not in str(caught.value)
    assert memos.tries == 0
