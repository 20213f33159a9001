"""The client: how long a call may take, what an add may have done, and what it makes of an acceptance."""

from typing import Any

import pytest

from memos_client import client as client_module
from memos_client.client import ADD, CONTINUE, PROBE, SEARCH, SYNCHRONOUS_ADD
from memos_client.errors import (
    CODES,
    MemosReplyError,
    MemosServerError,
)
from memos_client.memories import Added
from memos_client.transport import LARGEST_REPLY, Limits, Reply
from tests.unit.samples import (
    CLOUD,
    KEY,
    SELF_HOSTED,
    Answer,
    Deployment,
    FakeMemos,
    Lost,
    cases,
    failure,
)

MAY_BE_STORED = "The messages may have been stored all the same."
HTML = b"<html><body>Welcome</body></html>"
CONTINUES = {"on_error": "continue"}
SYNCHRONOUS = {"async_mode": False}


def test_limits_are_those_of_the_contract() -> None:
    assert LARGEST_REPLY == 1024 * 1024
    limits = [SEARCH, ADD, SYNCHRONOUS_ADD, CONTINUE, PROBE]
    assert [(limit.total, limit.connect, limit.tries) for limit in limits] == [
        *[(30, 5, 3), (30, 5, 3), (150, 5, 3), (10, 5, 3), (15, 5, 1)]
    ]


@pytest.mark.parametrize(
    ("call", "values", "limits", "repeatable"),
    [
        ("search", {}, SEARCH, True),
        ("search", CONTINUES, CONTINUE, True),
        ("add", {}, ADD, False),
        ("add", CONTINUES, CONTINUE, False),
        ("add", SYNCHRONOUS, SYNCHRONOUS_ADD, False),
        ("add", SYNCHRONOUS | CONTINUES, SYNCHRONOUS_ADD, False),
        ("probe", {}, PROBE, True),
    ],
)
def test_each_call_has_its_time_and_only_what_reads_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
    deployment: Deployment,
    call: str,
    values: dict[str, Any],
    limits: Limits,
    repeatable: bool,
) -> None:
    asked = []

    def send(*given: Any, repeatable: bool) -> Reply:
        asked.append((given[-1], repeatable))
        said = deployment.added if call == "add" else deployment.nothing
        return Reply(200, {}, deployment.says(said).content)

    monkeypatch.setattr(client_module, "send", send)
    client = deployment.client
    {"search": deployment.search, "add": deployment.add, "probe": client.probe}[call](**values)
    assert asked == [(limits, repeatable)]


SQUID = {"Server": "squid/6.10", "X-Squid-Error": "ERR_ACCESS_DENIED 0"}
REFUSALS: dict[str, Answer | Lost] = {
    **{f"{status}": Answer(status=status) for status in (400, 401, 403, 404, 405, 408, 409, 413, 422, 429)},
    **{f"{status} with a page": Answer(HTML, status) for status in (400, 403, 404, 413)},
    **{
        f"redirect {status}": Answer(status=status, headers={"Location": "https://memos.example/"})
        for status in (301, 302, 307, 308)
    },
    "redirect to nowhere": Answer(status=308),
    "proxy 407": Answer(HTML, 407),
    **{f"proxy {status}": Answer(HTML, status, SQUID) for status in (403, 503)},
    **{f"{code}": Answer({"code": code}) for code in CODES if code // 1000 == 40},
    "40132 in HTTP 500": Answer({"code": 40132}, 500),
    "40404 beyond the table": Answer({"code": 40404, "message": "No."}),
    "not connected": Lost(ConnectionRefusedError(), sent=False),
}
DOUBTS: dict[str, Answer | Lost] = {
    **{f"{status}": Answer(status=status) for status in (500, 501, 502, 503, 504)},
    **{f"{code}": Answer({"code": code}) for code in CODES if code // 1000 == 50},
    "500 of an own server": Answer({"code": 500, "message": "No.", "data": None}, 500),
    "unknown code": Answer({"code": 70007, "message": "No."}),
    "failed": Answer({"code": 0, "data": {"success": True, "status": "failed"}}),
    "not successful": Answer({"code": 0, "data": {"success": False}}),
    "unknown shape": Answer({"code": 0, "data": "none"}),
    "page": Answer(HTML),
    "empty": Answer(),
    "too large": Answer(b" " * (LARGEST_REPLY + 1)),
    "dropped": Lost(ConnectionResetError()),
}


@cases("answer", REFUSALS)
def test_add_that_was_refused_leaves_no_doubt(
    memos: FakeMemos, deployment: Deployment, answer: Answer | Lost
) -> None:
    memos.answers(*[answer] * (3 if answer == REFUSALS["not connected"] else 1))
    error = failure(deployment.add, **SYNCHRONOUS)
    assert error.refused
    assert "stored" not in str(error)


@cases("answer", DOUBTS)
def test_all_else_says_between_fact_and_advice_that_messages_may_be_stored(
    memos: FakeMemos, deployment: Deployment, answer: Answer | Lost
) -> None:
    memos.answers(answer)
    error = failure(deployment.add)
    assert str(error).endswith(f". {MAY_BE_STORED} {error.advice}")
    assert error.advice
    assert error.__suppress_context__ or error.__context__ is None


def test_own_server_that_stored_nothing_says_so(memos: FakeMemos) -> None:
    for values in ({}, SYNCHRONOUS):
        memos.answers(SELF_HOSTED.says([]))
        error = failure(SELF_HOSTED.add, **values)
        assert type(error) is MemosServerError
        assert str(error) == (
            "MemOS at memos.example:8000 stored nothing of these messages. They may hold nothing worth "
            "remembering. If all others fare so, look at that server's log: its language model or its "
            "embedder may not work."
        )


@cases(
    "answer, what",
    {
        "202 without a body": (Answer(status=202), "empty"),
        "202 with white space": (Answer(b" \r\n", 202), "empty"),
        "204": (Answer(status=204), "empty"),
        "204 with a body": (Answer(HTML, 204), "empty"),
    },
)
def test_acceptance_without_a_body_is_one_of_an_asynchronous_add_alone(
    memos: FakeMemos, deployment: Deployment, answer: Answer, what: str
) -> None:
    memos.answers(answer, answer, answer)
    assert deployment.add() == Added("running")
    words = f"MemOS at {deployment.host} sent a reply that is not understood ({what}"
    for call, values, doubt in ((deployment.add, SYNCHRONOUS, True), (deployment.search, {}, False)):
        error = failure(call, **values)
        assert type(error) is MemosReplyError
        assert str(error).startswith(words)
        assert (MAY_BE_STORED in str(error)) is doubt


@pytest.mark.parametrize("values", [{}, SYNCHRONOUS], ids=["asynchronous", "synchronous"])
def test_success_without_data_leaves_an_add_in_doubt(
    memos: FakeMemos, deployment: Deployment, values: dict[str, Any]
) -> None:
    memos.answers(Answer({"code": deployment.success, "message": "ok", "data": None}))
    error = failure(deployment.add, **values)
    assert type(error) is MemosReplyError
    assert MAY_BE_STORED in str(error)


@pytest.mark.parametrize(
    ("deployment", "data", "values", "added"),
    [
        (CLOUD, CLOUD.added, {}, Added("running", "task-1")),
        (CLOUD, {"success": True, "status": "completed"}, SYNCHRONOUS, Added("completed")),
        (CLOUD, {"status": "queued", "task_id": 7}, SYNCHRONOUS, Added("running", "7")),
        (CLOUD, {"success": True, "task_id": 2**53 + 1}, {}, Added("running", "9007199254740993")),
        (CLOUD, {"success": True, "task_id": {"a": 1}}, SYNCHRONOUS, Added("completed")),
        # The ids of an asynchronous add die when MemOS refines the memory.
        (SELF_HOSTED, SELF_HOSTED.added, {}, Added("running")),
        (SELF_HOSTED, SELF_HOSTED.added, SYNCHRONOUS, Added("completed", memory_ids=["mem-1"])),
        (SELF_HOSTED, [{"memory_id": 7}, {"memory": "x"}], SYNCHRONOUS, Added("completed", memory_ids=[])),
    ],
    ids=str,
)
def test_what_became_of_an_add(
    memos: FakeMemos, deployment: Deployment, data: Any, values: dict[str, Any], added: Added
) -> None:
    memos.answers(deployment.says(data))
    assert deployment.add(**values) == added


@pytest.mark.parametrize(
    ("deployment", "data"),
    [
        *((CLOUD, data) for data in ({"task_id": "task-1"}, {}, [], {"success": "true"})),
        *((SELF_HOSTED, data) for data in ({"success": True}, [7], "ok")),
    ],
    ids=str,
)
def test_add_of_unknown_shape_is_not_understood(memos: FakeMemos, deployment: Deployment, data: Any) -> None:
    memos.answers(deployment.says(data))
    error = failure(deployment.add)
    assert type(error) is MemosReplyError
    assert str(error).startswith(f"MemOS at {deployment.host} sent a reply that is not understood (no ")


def test_problem_that_was_kept_is_raised_and_nothing_sent(memos: FakeMemos, deployment: Deployment) -> None:
    assert str(failure(deployment.search, query="", **CONTINUES)) == "query: needed."
    words = str(failure(deployment.add, user_messages=" ", **CONTINUES))
    assert words == "user_messages, ai_messages: at least one message with text is needed."
    assert memos.tries == 0


def test_client_tells_its_key_without_the_scheme(deployment: Deployment) -> None:
    assert deployment.client.api_key == KEY
