"""Agents' tools: what they have MemOS do, and what "reads the same" means to Forget.

What a model is told of each failure is in tests/agents, word for word.
"""

import unicodedata
from typing import Any

import pytest

from memos_client import agents
from memos_client import client as client_module
from memos_client.agents import FORGET, RECALL, REMEMBER
from memos_client.transport import Limits
from tests.unit.samples import (
    CALLER,
    CLOUD,
    FACT,
    KEY,
    SELF_HOSTED,
    Answer,
    Deployment,
    FakeMemos,
    Lost,
    cases,
)

TASKS = {"recall": RECALL, "remember": REMEMBER, "forget": FORGET}
BUILDER = "This app's builder has to mend that, not the user."
CHANGED_NOTHING = {
    "recall": "Go on without it, and say so only if the user asks.",
    "remember": "Nothing was remembered; say so only if the user asked you to remember it.",
    "forget": "Nothing was forgotten: tell the user so.",
}
MAY_BE_REMEMBERED = (
    "It may have been remembered all the same: don't send it again, "
    "and say so only if the user asked you to remember it."
)
FORGOTTEN = (
    f'Forgotten: "{FACT}" Recall may show it for some seconds more. What the user said only just now may '
    "come back, since it is still being processed: then recall it and forget it once more."
)
all_tasks = cases("name", {name: name for name in TASKS})


def answer(
    name: str, deployment: Deployment, text: Any = FACT, user: str | None = "user-1", **more: Any
) -> str:
    task = TASKS[name]
    return agents.answer(task, {task.parameter: text} | more, deployment.credentials, user)


def stored(deployment: Deployment, *texts: str, **fields: Any) -> Answer:
    """The reply from which Forget chooses: on the cloud a search, on an own server a listing."""
    ids = [{"id": f"mem-{number}"} | fields for number in range(1, len(texts) + 1)]
    if deployment is CLOUD:
        named = [one | {"memory_value": text} for one, text in zip(ids, texts, strict=True)]
        return deployment.says({"memory_detail_list": named})
    rows = [
        one | {"memory": text, "metadata": {"memory_type": "UserMemory"}}
        for one, text in zip(ids, texts, strict=True)
    ]
    return deployment.says({"text_mem": [{"cube_id": "user-1", "memories": rows}]})


def deletion(deployment: Deployment, *texts: str) -> list[Answer]:
    """The replies to a deletion of all these: they are the user's, they are deleted, they are gone."""
    if deployment is CLOUD:
        there = [
            deployment.says({"id": f"mem-{number}", "user_id": "user-1"})
            for number in range(1, len(texts) + 1)
        ]
        gone = [Answer({"code": 40307, "message": "none"})] * len(texts)
    else:
        there, gone = [stored(deployment, *texts)], [stored(deployment)]
    return [*there, deployment.says({"success": True}), *gone]


def test_remember_sends_one_message_of_the_user_in_a_fresh_conversation(
    memos: FakeMemos, deployment: Deployment
) -> None:
    memos.answers(*[deployment.says(deployment.added)] * 2)
    for _ in range(2):
        assert answer("remember", deployment) == "Remembered. It can be recalled in a moment."
    bodies = [request.json for request in memos.requests]
    conversations = {body.get("conversation_id") or body["session_id"] for body in bodies}
    assert len(conversations) == 2
    assert all(name.startswith("dify-") for name in conversations)
    for body in bodies:
        assert [(turn["role"], turn["content"]) for turn in body["messages"]] == [("user", FACT)]
        assert body["user_id"] == "user-1"
        assert body["async_mode"] in {True, "async"}


@pytest.mark.parametrize("mark", ["?", "\uff1f", "? ", "\u061f", "?\n"])
def test_question_is_not_remembered(memos: FakeMemos, mark: str) -> None:
    assert answer("remember", CLOUD, f"Does the user eat meat{mark}") == (
        "Not remembered: a question is no fact. Give one statement that says whom or what it is about."
    )
    assert memos.tries == 0


@all_tasks
@pytest.mark.parametrize("text", [None, " \n", "{{#1767225600001.text#}}", "sys.query", 7, ["x"]])
def test_what_is_no_text_is_told(memos: FakeMemos, name: str, text: Any) -> None:
    assert (
        answer(name, CLOUD, text) == f"{TASKS[name].parameter}: give one short text in the user's language."
    )
    assert memos.tries == 0


def test_forget_deletes_what_reads_the_same_and_nothing_else(
    memos: FakeMemos, deployment: Deployment
) -> None:
    texts = (FACT, "the user  eats no meat", "The user eats no meat today.")
    memos.answers(stored(deployment, *texts), *deletion(deployment, *texts[:2]))
    assert answer("forget", deployment, f"- [2026-01-04] {FACT}") == FORGOTTEN
    [deleted] = [request.json for request in memos.requests if "/delete" in request.url]
    assert deleted["memory_ids"] == ["mem-1", "mem-2"]


def test_what_has_no_id_cannot_be_forgotten(memos: FakeMemos, deployment: Deployment) -> None:
    memos.answers(stored(deployment, FACT, id=None))
    assert answer("forget", deployment) == (
        "Not forgotten: MemOS keeps this without an id, so it can't be forgotten one by one. "
        "Tell the user so."
    )


def test_forget_looks_again_where_memos_has_replaced_the_id(memos: FakeMemos, deployment: Deployment) -> None:
    lost = Answer({"code": 40307, "message": "none"}) if deployment is CLOUD else stored(deployment)
    memos.answers(stored(deployment, FACT), lost, stored(deployment, FACT), *deletion(deployment, FACT))
    assert answer("forget", deployment) == FORGOTTEN
    memos.answers(*[stored(deployment, FACT), lost] * 2)
    assert answer("forget", deployment) == (
        "Not forgotten: memory is being written just now. Recall it once more, then forget what it shows."
    )


def test_forget_says_where_memos_lets_nothing_be_deleted(memos: FakeMemos, deployment: Deployment) -> None:
    there, *_ = deletion(deployment, FACT)
    memos.answers(stored(deployment, FACT), there, Answer({"code": 40306, "message": "no"}, status=403))
    assert answer("forget", deployment) == (
        "Not forgotten: MemOS does not let this be deleted. Tell the user so."
    )


def test_forget_in_doubt_is_told(memos: FakeMemos, deployment: Deployment) -> None:
    _, *rest = deletion(deployment, FACT)
    still = deletion(deployment, FACT)[0]
    memos.answers(stored(deployment, FACT), still, rest[0], *[still] * 4)
    assert answer("forget", deployment) == (
        "Memory does not work right now. "
        "It is not certain whether it was forgotten: tell the user so, and recall it later."
    )


RAW = "user: [09:43 PM on 22 November, 2026]: "
READS_THE_SAME = {
    "as it is": (FACT, FACT),
    "another case": (FACT, "THE USER EATS NO MEAT."),
    "without its stop": (FACT, "The user eats no meat"),
    "with a stop": ("The user eats no meat", FACT),
    "an ideographic stop": ("\u7528\u6237\u4e0d\u5403\u8089\u3002", "\u7528\u6237\u4e0d\u5403\u8089"),
    "other white space": ("The user\n\teats  no meat.", f"  {FACT}\n"),
    "with its dash, date and mark": ("Short answers.", "- [2026-01-04] Short answers. (explicit)"),
    "with its date": (FACT, f"[2026-01-04] {FACT}"),
    "with its mark": ("Short answers", "Short answers (implicit)"),
    "a mark of its own": ("Tea (explicit)", "Tea (explicit)"),
    "a date of its own": ("[2026-01-04] Dentist.", "[2026-01-04] Dentist."),
    "as the block escapes it": ("I <3 tea", "I &lt;3 tea"),
    "escapes undone": ("I &lt;3 tea", "I <3 tea"),
    "full-width brackets": ("\uff1cb\uff1e", "&lt;b&gt;"),
    "control characters": ("a\x00b\U000e0041c", "a b c"),
    "composed": ("Ren\xe9", unicodedata.normalize("NFD", "REN\xc9")),
    "a raw row, by what follows": (f"{RAW}I live in Ulm.", "I live in Ulm"),
    "a raw row as it is shown": (f"{RAW}I live in Ulm.\n", f"[2026-11-22] {RAW}I live in Ulm."),
    "a raw row of several, as a whole": (f"{RAW}A.\nassistant: [x]: B.", f"- {RAW}A. assistant: [x]: B."),
}
READS_OTHERWISE = {
    "more": (FACT, f"{FACT} Nor fish."),
    "less": (FACT, "The user eats"),
    "a part of a raw row of several": (f"{RAW}A.\nassistant: [x]: B.", "A."),
    "the end of a raw row of several": (f"{RAW}A.\n{RAW}B.", "B."),
    "a pattern": (FACT, ".*"),
    "a wildcard": (FACT, "%"),
    "nothing but a stop": ("...", "."),
    "nothing but a date": ("", "- [2026-01-04] "),
    "accents": ("Ren\xe9", "Rene"),
    "a date within": ("Dentist on [2026-01-04]", "Dentist on"),
}


@cases("text, shown", READS_THE_SAME)
def test_memory_is_forgotten_that_reads_the_same(memos: FakeMemos, text: str, shown: str) -> None:
    memos.answers(stored(SELF_HOSTED, text), *deletion(SELF_HOSTED, text))
    assert answer("forget", SELF_HOSTED, shown).startswith("Forgotten: ")


@cases("text, shown", READS_OTHERWISE)
def test_memory_stays_that_reads_otherwise(memos: FakeMemos, text: str, shown: str) -> None:
    memos.answers(stored(SELF_HOSTED, text), SELF_HOSTED.says(SELF_HOSTED.nothing))
    assert answer("forget", SELF_HOSTED, shown).startswith("Not forgotten: ")


@all_tasks
def test_silence_of_ten_seconds_is_memory_out_of_reach(
    memos: FakeMemos, monkeypatch: pytest.MonkeyPatch, deployment: Deployment, name: str
) -> None:
    assert client_module.CONTINUE.total == 10
    monkeypatch.setattr(client_module, "CONTINUE", Limits(total=0.2))
    memos.answers(Lost(None))
    known = MAY_BE_REMEMBERED if name == "remember" else CHANGED_NOTHING[name]
    assert answer(name, deployment) == f"Memory can't be reached right now. {known}"


@all_tasks
def test_credentials_that_cannot_be_right_are_told(memos: FakeMemos, name: str) -> None:
    task = TASKS[name]
    told = agents.answer(
        task, {task.parameter: FACT}, {"memos_url": "ftp://x", "memos_api_key": KEY}, "user-1"
    )
    assert told == f"Memory is not set up: its credentials can't be right. {BUILDER} {CHANGED_NOTHING[name]}"
    assert memos.tries == 0


@all_tasks
def test_user_key_opens_its_owner_s_memory(memos: FakeMemos, deployment: Deployment, name: str) -> None:
    memos.answers(Answer({"code": 40304, "message": "No."}))
    answer(name, deployment, user="agent-user", user_key=CALLER.user_key("user-1"))
    assert memos.requests[0].json["user_id"] == "user-1"


@all_tasks
@pytest.mark.parametrize("key", [None, "", " "])
def test_run_without_a_user_is_told(memos: FakeMemos, name: str, key: Any) -> None:
    told = answer(name, CLOUD, user=None, user_key=key)
    assert told == (
        "No memory can be used here. User: needed, since Dify names no user for this run. "
        f"{BUILDER} {CHANGED_NOTHING[name]}"
    )
    assert memos.tries == 0
