"""Deleting and correcting: only what is this user's, never twice, and no word of success without a proof."""

from typing import Any

import pytest

from memos_client import client as client_module
from memos_client import transport
from memos_client.client import DELETE_SECONDS, FEEDBACK
from memos_client.errors import MemosConnectionError, MemosError, MemosInputError, MemosServerError
from memos_client.identity import Caller
from memos_client.inputs import DeleteRequest, FeedbackRequest
from memos_client.kinds import PREFERENCE
from memos_client.memories import Added
from memos_client.outputs import of_delete, of_feedback
from memos_client.transport import Reply
from tests.unit.keeper import Keeper, Kept, facts
from tests.unit.samples import (
    CALLER,
    CLOUD,
    SELF_HOSTED,
    Answer,
    Deployment,
    FakeMemos,
    Lost,
    Received,
    cases,
    failure,
    of_each,
)

KEPT = [*facts(3), *facts(2, "user-2", "x")]
AGENT = Caller("user-1", None, None, CALLER.api_key)
# What asks the servers whose a memory is.
OF_THE_USER = {"cloud": None, "self_hosted": {"mem_cube_id": "user-1"}}
MAY_BE_DELETED = "The memories may have been deleted all the same."
NEEDED = "memory_ids: needed, or Delete All. What has no id can't be deleted singly."


@pytest.fixture
def keeper(memos: FakeMemos, deployment: Deployment) -> Keeper:
    """A MemOS with three memories of this user, and two of another."""
    memos.otherwise = Keeper(deployment, [*KEPT])
    return memos.otherwise


def delete(deployment: Deployment, *memory_ids: str) -> None:
    deployment.client.delete("user-1", memory_ids)


def deletions(memos: FakeMemos) -> list[Any]:
    return [request.json for request in memos.requests if "delete" in request.url]


@of_each("body", {}, {"writable_cube_ids": ["user-1"]})
def test_memories_are_deleted_once_and_proven_gone(
    memos: FakeMemos, deployment: Deployment, body: dict[str, Any], pauses: list[float]
) -> None:
    memos.otherwise = keeper = Keeper(deployment, [*KEPT])
    delete(deployment, "f1", "f0")
    assert keeper.of("user-1") == ["f2"]
    assert keeper.of("user-2") == ["x0", "x1"]
    assert deletions(memos) == [{"memory_ids": ["f1", "f0"]} | body]
    paths = [request.url.removeprefix(deployment.url) for request in memos.requests]
    looks = ["/get/memory/f1", "/get/memory/f0"] if deployment is CLOUD else ["/product/get_memory"]
    deletion = "/delete/memory" if deployment is CLOUD else "/product/delete_memory"
    assert paths == [*looks, deletion, *looks]
    assert pauses == [0]


@cases("strange", {"another's": ["x0"], "nobody's": ["m7"], "both": ["m7", "x1"]})
def test_one_memory_that_is_not_this_user_s_keeps_all_from_being_deleted(
    memos: FakeMemos, deployment: Deployment, keeper: Keeper, strange: list[str]
) -> None:
    error = failure(delete, deployment, "f0", *strange, "f1")
    assert type(error) is MemosInputError
    refine = " MemOS replaces ids while it refines; list again." if deployment is SELF_HOSTED else ""
    words = f"memory_ids: no memory of this user: {', '.join(strange)}. Nothing was deleted.{refine}"
    assert (str(error), error.refused) == (words, True)
    assert deletions(memos) == []
    assert keeper.kept == KEPT


@cases(
    "data",
    {
        "null": None,
        "deleted": {"id": "f0", "user_id": "user-1", "status": "deleted"},
        "no owner": {"id": "f0", "status": "activated"},
        "another memory": {"id": "f1", "user_id": "user-1", "status": "activated"},
    },
)
def test_cloud_s_lookup_proves_only_what_it_says(memos: FakeMemos, data: Any) -> None:
    memos.answers(CLOUD.says(data))
    assert type(failure(delete, CLOUD, "f0")) is MemosInputError
    assert deletions(memos) == []


@cases("data", {"text": "gone", "list": []})
def test_lookup_of_unknown_shape_proves_nothing(memos: FakeMemos, data: Any) -> None:
    shown = CLOUD.says({"id": "f0", "user_id": "user-1", "status": "archived"})
    memos.answers(shown, CLOUD.says({"success": True}), CLOUD.says(data))
    assert str(failure(delete, CLOUD, "f0")).startswith(
        f"MemOS at {CLOUD.host} sent a reply that is not understood (no memory). {MAY_BE_DELETED} "
    )


@cases("memory_id, path", {"slash": ("../x?y#z", "..%2Fx%3Fy%23z"), "percent": ("%2e%2e", "%252e%252e")})
def test_id_stays_one_piece_of_the_address(memos: FakeMemos, memory_id: str, path: str) -> None:
    memos.otherwise = Keeper(CLOUD, [])
    failure(delete, CLOUD, memory_id)
    assert memos.requests[0].url == f"{CLOUD.url}/get/memory/{path}"


def test_memory_that_stays_a_while_is_looked_at_again(
    memos: FakeMemos, deployment: Deployment, keeper: Keeper, pauses: list[float]
) -> None:
    keeper.stays = {"f0"}
    pauses_before = pauses.append

    def goes_meanwhile(seconds: float) -> None:
        pauses_before(seconds)
        if seconds == 1:
            keeper.kept = []

    pytest.MonkeyPatch().setattr("time.sleep", goes_meanwhile)
    delete(deployment, "f0", "f1")
    assert pauses == [0, 0.5, 1]
    assert len(deletions(memos)) == 1


REPLIES = {
    "success": None,
    "failure": Answer({"code": 200, "message": "Failed to delete memories", "data": {"status": "failure"}}),
    "failed": Answer({"code": 0, "message": "No.", "data": {"success": False}}),
    "gone": Answer({"code": 40307, "message": "gone", "data": None}),
    "500": Answer(status=500),
    "a page": Answer(b"<html>"),
}


@cases("reply", REPLIES)
def test_what_stays_is_told_apart_from_what_went_whatever_the_reply(
    memos: FakeMemos, deployment: Deployment, keeper: Keeper, pauses: list[float], reply: Answer | None
) -> None:
    keeper.stays, keeper.replies = {"f2", "x0", "x1"}, reply
    if reply:
        keeper.kept = [*KEPT]
    ids = ("f0", "f2", "f1")
    error = failure(delete, deployment, *ids)
    assert type(error) is MemosServerError
    left = [] if reply is None else ["f0", "f1"]
    still = [memory_id for memory_id in ids if memory_id == "f2" or memory_id in left]
    gone = [memory_id for memory_id in ids if memory_id not in still]
    assert f" Still there: {', '.join(still)}. Gone: {', '.join(gone) or 'none'}. " in str(error)
    assert str(error).startswith(f"MemOS at {deployment.host} ")
    assert error.advice == "List the memories again in a moment."
    assert error.refused is False
    assert pauses == [0, 0.5, 1, 2]
    assert len(deletions(memos)) == 1


@cases("reply", {name: reply for name, reply in REPLIES.items() if reply})
def test_what_went_is_proven_deleted_whatever_the_reply(
    memos: FakeMemos, deployment: Deployment, reply: Answer
) -> None:
    keeper = Keeper(deployment, [*KEPT])

    def answer(received: Any) -> Answer:
        told = keeper(received)
        return reply if "delete" in received.url else told

    memos.otherwise = answer
    delete(deployment, "f0")
    deployment.client.delete_all("user-1")
    assert keeper.of("user-1") == []
    assert keeper.of("user-2") == ["x0", "x1"]


@cases("answer", {"401": Answer(status=401), "40304": Answer({"code": 40304}), "422": Answer(status=422)})
def test_refused_deletion_is_told_as_it_is(
    memos: FakeMemos, deployment: Deployment, keeper: Keeper, answer: Answer
) -> None:
    keeper.replies = answer
    error = failure(delete, deployment, "f0")
    assert error.refused
    assert "deleted all the same" not in str(error)
    assert "delete" in memos.requests[-1].url


@cases("answer", {"500": Answer(status=500), "dropped": Lost(ConnectionResetError())})
def test_proof_of_owner_that_fails_says_that_nothing_was_deleted(
    memos: FakeMemos, deployment: Deployment, answer: Answer | Lost
) -> None:
    memos.answers(*[answer] * (2 if isinstance(answer, Lost) else 1))
    error = failure(delete, deployment, "f0")
    assert f". Nothing was deleted. {error.advice}" in str(error)
    assert error.refused is True
    assert deletions(memos) == []


@cases(
    "lost, kind",
    {
        "dropped": (Lost(ConnectionResetError()), MemosConnectionError),
        "refused": (Lost(ConnectionRefusedError(), sent=False), MemosConnectionError),
        "401": (Answer(status=401), MemosError),
        "500": (Answer(status=500), MemosServerError),
    },
)
def test_proof_that_fails_leaves_the_deletion_in_doubt(
    memos: FakeMemos, deployment: Deployment, keeper: Keeper, lost: Answer | Lost, kind: type[MemosError]
) -> None:
    theirs = keeper(Received(f"{deployment.url}/get/memory/f0", {}, OF_THE_USER[deployment.name]))
    memos.answers(theirs, deployment.says({"success": True}), *[lost] * 3)
    error = failure(delete, deployment, "f0")
    memos.planned.clear()
    assert isinstance(error, kind)
    assert f". {MAY_BE_DELETED} {error.advice}" in str(error)
    assert error.refused is False
    assert len(deletions(memos)) == 1
    assert keeper.kept == KEPT


def test_all_of_a_user_goes_without_a_listing_before(
    memos: FakeMemos, deployment: Deployment, keeper: Keeper, pauses: list[float]
) -> None:
    deployment.client.delete_all("user-1")
    assert keeper.of("user-1") == []
    assert keeper.of("user-2") == ["x0", "x1"]
    body = {"user_id": "user-1"}
    assert deletions(memos) == [body if deployment is CLOUD else body | {"writable_cube_ids": ["user-1"]}]
    assert "delete" in memos.requests[0].url
    assert len(memos.requests) == 2
    assert pauses == [0]


@cases("left, named", {"with an id": (facts(2)[1:], "f1"), "without": ([Kept("", "Short.", PREFERENCE)], "")})
def test_what_stays_when_everything_was_to_go_is_an_error(
    memos: FakeMemos, deployment: Deployment, left: list[Kept], named: str
) -> None:
    memos.otherwise = Keeper(deployment, left, stays={left[0].memory_id})
    error = failure(deployment.client.delete_all, "user-1")
    assert type(error) is MemosServerError
    assert str(error) == (
        f"MemOS at {deployment.host} accepted the deletion, but it is not proven. "
        f"Still there: {named or 'a memory without an id'}. List the memories again in a moment."
    )


def test_deletion_has_a_minute_in_all_and_a_third_of_it_for_the_proof(
    deployment: Deployment, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DELETE_SECONDS == 60
    keeper.stays = {"f0"}
    clock = [0.0]
    ends = []

    def send(*given: Any, repeatable: bool) -> Reply:
        ends.append(clock[-1] + given[3].total)
        return transport.send(*given, repeatable=repeatable)

    monkeypatch.setattr(client_module, "send", send)
    monkeypatch.setattr(client_module.time, "monotonic", lambda: clock[-1])
    monkeypatch.setattr(client_module.time, "sleep", lambda seconds: clock.append(clock[-1] + seconds))
    failure(delete, deployment, "f0")
    clock.append(0)
    failure(deployment.client.delete_all, "user-1")
    # A look, the deletion, and the looks behind it; without the first, where everything goes.
    assert ends == [20, 40, *[60] * 4, 40, *[60] * 4]


def delete_request(caller: Caller = CALLER, **values: Any) -> DeleteRequest:
    return DeleteRequest.parse(values, caller)


@cases(
    "value, ids",
    {
        "one": ("m1", ("m1",)),
        "commas": ("m1, m2，m1\nm3", ("m1", "m2", "m3")),  # noqa: RUF001 - Chinese
        "array": (["m1", "m2"], ("m1", "m2")),
        "JSON": ('["m1", "m2"]', ("m1", "m2")),
        "printed by Dify": ("['m1', 'm2']", ("m1", "m2")),
        "with nothing": ('["m1", null, ""]', ("m1",)),
        "twenty": ([f"m{number}" for number in range(20)], tuple(f"m{number}" for number in range(20))),
    },
)
def test_ids_are_read_in_any_form(value: Any, ids: tuple[str, ...]) -> None:
    assert delete_request(memory_ids=value).memory_ids == ids


@cases(
    "values, words",
    {
        "nothing": ({}, NEEDED),
        "empty list": ({"memory_ids": "[]"}, NEEDED),
        "null": ({"memory_ids": [None], "delete_all": "false"}, NEEDED),
        "too many": ({"memory_ids": ",".join(map(str, range(21)))}, "memory_ids: at most 20."),
        "number": ({"memory_ids": 7}, "memory_ids: wants text separated by commas."),
        "objects": ({"memory_ids": '[{"id": "m1"}]'}, "memory_ids: wants text separated by commas."),
        "broken": ({"memory_ids": '["m1'}, None),
        "long": ({"memory_ids": "m" * 101}, "memory_ids: at most 100 characters."),
        "dots": ({"memory_ids": "m1,.."}, "memory_ids: an id is more than dots."),
        "invisible": ({"memory_ids": "m\u200b1"}, "memory_ids: no control or invisible characters."),
        "a variable": (
            {"memory_ids": "1767225699999.text"},
            "memory_ids: the variable 1767225699999.text has no value in this app.",
        ),
        "both": (
            {"memory_ids": "m1", "delete_all": True},
            "delete_all: give either memory_ids or Delete All, not both.",
        ),
        "no switch": ({"delete_all": "perhaps"}, "delete_all: wants true or false."),
    },
)
def test_request_that_can_t_be_meant_is_refused(values: dict[str, Any], words: str | None) -> None:
    told = str(failure(delete_request, **values))
    assert told == words or (words is None and told.startswith("memory_ids: not valid JSON"))


def test_call_without_an_app_can_t_delete_everything() -> None:
    words = "delete_all is for workflow nodes; give agents Recall, Remember and Forget."
    assert str(failure(delete_request, AGENT, delete_all=True)) == words
    assert delete_request(AGENT, memory_ids="m1").user_id == "user-1"
    assert str(failure(delete_request, AGENT, memory_ids="m1", user_id="user-2")).startswith(
        "user_id: agents"
    )
    key = CALLER.user_key("user-2")
    assert delete_request(AGENT, memory_ids="m1", user_id=key).user_id == "user-2"


def test_output_says_what_went_and_how_sure_that_is() -> None:
    output = of_delete(delete_request(memory_ids="m1"))
    assert output.text == (
        "Deleted: 1 memory. MemOS no longer has them; a search may show them for some seconds more."
    )
    assert output.variables == {"deleted_ids": ["m1"], "count": 1, "user_id": "user-1"}
    assert output.json["data"] == {"success": True, "deleted_ids": ["m1"]}
    output = of_delete(delete_request(delete_all=True))
    assert output.text.startswith("Deleted: all memories of this user. MemOS no longer has them")
    assert output.text.endswith("may be remembered all the same: list again in a minute.")


FEEDBACK_WORDS = "I live in Ulm."


def feedback(deployment: Deployment, caller: Caller = CALLER) -> Added:
    return deployment.client.feedback(FeedbackRequest.parse({"feedback": FEEDBACK_WORDS}, caller))


@of_each(
    "body",
    {},
    {"writable_cube_ids": ["user-1"], "history": None},
)
def test_feedback_goes_out_once_in_the_run_s_conversation_or_a_fresh_one(
    memos: FakeMemos, deployment: Deployment, body: dict[str, Any]
) -> None:
    reply = {"success": True, "task_id": "t1", "status": "running"} if deployment is CLOUD else [[]]
    memos.answers(*[deployment.says(reply)] * 2)
    conversation = "conversation_id" if deployment is CLOUD else "session_id"
    added = feedback(deployment)
    assert added == Added("running", "t1" if deployment is CLOUD else "")
    assert memos.requests[0].json == body | {
        "user_id": "user-1",
        conversation: "conversation-1",
        "feedback_content": FEEDBACK_WORDS,
    }
    feedback(deployment, Caller("user-1", "app-1", None, ""))
    assert memos.requests[1].json[conversation].startswith("dify-")
    assert FEEDBACK.total == 30
    output = of_feedback(FeedbackRequest.parse({"feedback": "x"}, CALLER), added)
    assert output.variables == {
        "status": "running",
        "task_id": added.task_id,
        "memory_ids": [],
        "user_id": "user-1",
    }


@cases(
    "answer, doubt",
    {
        "500": (Answer(status=500), True),
        "503": (Answer(status=503), True),
        "dropped": (Lost(ConnectionResetError()), True),
        "unknown shape": (Answer({"code": 0, "data": "ok"}), True),
        "401": (Answer(status=401), False),
    },
)
def test_feedback_that_failed_is_not_repeated_and_says_whether_it_may_have_been_taken(
    memos: FakeMemos, deployment: Deployment, answer: Answer | Lost, doubt: bool
) -> None:
    memos.answers(answer)
    error = failure(feedback, deployment)
    assert ("The feedback may have been taken all the same." in str(error)) is doubt
    assert memos.tries == 1
