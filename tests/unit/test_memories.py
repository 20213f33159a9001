"""What becomes of every recorded reply to a search: memories of one shape, or an error."""

import json
from typing import Any

import pytest

from memos_client.errors import MemosReplyError
from memos_client.kinds import EVENT, FACT, PREFERENCE, PROFILE, SKILL, TOOL, Kind
from memos_client.memories import found
from memos_client.outputs import Output, of_search
from tests.unit.samples import (
    BOTH,
    CLOUD,
    REPLIES,
    SELF_HOSTED,
    Answer,
    Deployment,
    FakeMemos,
    cases,
    failure,
    search_request,
)

RECORDED = {
    str(file.relative_to(REPLIES).with_suffix("")): json.loads(file.read_text())
    for file in sorted(REPLIES.rglob("*.json"))
}
SEARCHES = [name for name, reply in RECORDED.items() if "memories" in reply]
ERRORS = [name for name, reply in RECORDED.items() if "error" in reply]
ALL_KINDS = "cloud/search_all_kinds"


def search(memos: FakeMemos, deployment: Deployment, answer: Answer, **values: Any) -> Output:
    memos.answers(answer)
    request = search_request(**{"kinds": "all"} | values)
    return of_search(request, deployment.client.search(request))


def recorded(memos: FakeMemos, name: str, **values: Any) -> Output:
    deployment = next(deployment for deployment in BOTH if name.startswith(deployment.name))
    return search(memos, deployment, Answer(RECORDED[name]["json"], RECORDED[name]["status"]), **values)


def test_every_recorded_reply_is_read() -> None:
    assert len(SEARCHES) + len(ERRORS) == len(RECORDED) == 13


@pytest.mark.parametrize("name", SEARCHES)
def test_found_memories_are_told_most_relevant_first(memos: FakeMemos, name: str) -> None:
    variables = recorded(memos, name).variables
    told = RECORDED[name]["memories"]
    assert variables["memories"] == told
    assert variables["memory_context"].count("\n- ") == variables["count"] == len(told)


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_told_in_these_words(memos: FakeMemos, name: str) -> None:
    error, told = failure(recorded, memos, name), RECORDED[name]["error"]
    assert type(error).__name__ == told["class"]
    assert str(error).startswith(f"MemOS at memos.example:8000 answered {told['words']} ")


@pytest.mark.parametrize("name", SEARCHES)
def test_json_is_the_envelope_of_version_0_0_4_with_documented_fields_only(
    memos: FakeMemos, name: str
) -> None:
    assert recorded(memos, name).json == {"code": 0, "message": "ok", "data": RECORDED[name]["data"]}


SKILL_VALUE = {"description": "d.", "procedure": "p.", "experience": ["e."], "preference": ["f."]}
SKILL_TEXT = "d. Procedure: p. Experience: e. Preference: f."


@cases(
    "kind, item, told",
    {
        "fact": (FACT, {"memory_value": " x "}, {"text": "x"}),
        "fact with title": (FACT, {"memory_value": "x", "memory_key": "T"}, {"text": "x", "title": "T"}),
        "fact as an object": (FACT, {"memory_value": {"ä": [1]}}, {"text": '{"ä": [1]}'}),
        "fact without text": (FACT, {"memory_value": "  ", "memory_key": "T"}, None),
        "fact with odd tags": (FACT, {"memory_value": "x", "tags": ["a", 7]}, {"text": "x", "tags": ["a"]}),
        "preference": (PREFERENCE, {"preference": "x", "reasoning": "y"}, {"text": "x"}),
        "tool": (TOOL, {"tool_value": "x", "experience": None}, {"text": "x"}),
        "experience alone": (TOOL, {"experience": ["y", "z"]}, {"text": "Experience: y; z"}),
        "skill as text": (SKILL, {"skill_value": "x"}, {"text": "x"}),
        "skill by name": (SKILL, {"skill_value": {"name": "N"}}, {"text": "N", "title": "N"}),
        "skill": (SKILL, {"skill_value": SKILL_VALUE}, {"text": SKILL_TEXT}),
        "event": (EVENT, {"event_value": "x", "event_key": "T"}, {"text": "x", "title": "T"}),
        "profile": (PROFILE, {"memory": "x"}, {"text": "x"}),
    },
)
def test_text_and_title_of_an_item(kind: Kind, item: dict[str, Any], told: dict[str, Any] | None) -> None:
    memories = [one.memory for one in found({kind: [item]}, 6)]
    assert memories == ([{"kind": kind.name} | told] if told else [])


def test_skill_of_an_own_server_reads_like_one_of_the_cloud(memos: FakeMemos) -> None:
    skill = SKILL_VALUE | {"name": "N"}
    buckets = [{"memories": [{"id": "s-1", "memory": "m", "metadata": part}]} for part in (skill, None)]
    told = search(memos, SELF_HOSTED, SELF_HOSTED.says({"text_mem": [], "skill_mem": buckets}))
    assert [one["text"] for one in told.variables["memories"]] == [SKILL_TEXT, "m"]
    assert [one.get("title") for one in told.variables["memories"]] == ["N", None]


STORED = {"create_time": 1767571199000}


@cases(
    "given, told",
    {
        "milliseconds": (STORED, "2026-01-04T23:59:59Z"),
        "ISO": ({"create_time": "2026-01-04T23:59:59Z"}, "2026-01-04T23:59:59Z"),
        "ISO with zone": ({"create_time": "2026-01-04T22:59:59.999-01:00"}, "2026-01-04T23:59:59Z"),
        "ISO without zone": ({"create_time": "2026-01-04 23:59:59"}, "2026-01-04T23:59:59Z"),
        "milliseconds as text": ({"create_time": "1767571199000"}, "2026-01-04T23:59:59Z"),
        "event": (STORED | {"memory_time": "2025-01-01"}, "2025-01-01T00:00:00Z"),
        "event in 1950": (STORED | {"memory_time": -631152000000}, "1950-01-01T00:00:00Z"),
        "event unreadable": (STORED | {"memory_time": "some day"}, "2026-01-04T23:59:59Z"),
        "event empty": (STORED | {"memory_time": ""}, "2026-01-04T23:59:59Z"),
        "beyond all calendars": ({"create_time": 10**30}, None),
        "no time": ({"create_time": True}, None),
        "none": ({}, None),
    },
)
def test_time_is_that_of_the_event_or_else_of_the_record(given: dict[str, Any], told: str | None) -> None:
    [one] = found({FACT: [{"memory_value": "x"} | given]}, 6)
    assert one.memory.get("time") == told


@pytest.mark.parametrize(
    ("score", "told"),
    [(0, 0), ("0.5", 0.5), (0.123456, 0.1235), ("high", None), ("NaN", None), (None, None), (True, None)],
)
def test_relevance_is_a_number_of_four_decimals_or_absent(score: Any, told: float | None) -> None:
    [one] = found({FACT: [{"memory_value": "x", "relativity": score}]}, 6)
    assert one.memory.get("relevance") == told


def fact(text: str, score: float | None = None, **others: Any) -> dict[str, Any]:
    return {"memory_value": text, "relativity": score, **others}


@cases(
    "facts, limit, texts",
    {
        "most relevant first": ([fact("a", 0.1), fact("b", 0.9), fact("c", 0.5)], 6, "bca"),
        "equal ones in the server's order": ([fact(text, 0.5) for text in "cab"], 6, "cab"),
        "without a score last": ([fact("a"), fact("b", 0.0), fact("c")], 6, "bac"),
        "limit": ([fact("a", 0.1), fact("b", 0.9), fact("c", 0.5)], 2, "bc"),
        "equal texts once": ([fact("a", 0.1), fact("b", 0.5), fact(" a ", 0.9)], 2, "ab"),
        "archived": ([fact("a", 0.9, status="archived"), fact("b", 0.5)], 1, "b"),
        "deleted": ([fact("a", 0.9, status="deleted"), fact("b", 0.5)], 1, "b"),
    },
)
def test_which_memories_are_told_and_in_which_order(facts: list[Any], limit: int, texts: str) -> None:
    assert "".join(one.memory["text"] for one in found({FACT: facts}, limit)) == texts


def test_limit_and_equal_texts_count_within_a_kind() -> None:
    lists = {
        kind: [{name: "x"}, {name: "y"}] for kind, name in ((FACT, "memory_value"), (EVENT, "event_value"))
    }
    chosen = [(one.kind.name, one.memory["text"]) for one in found(lists, 1)]
    assert chosen == [("fact", "x"), ("event", "x")]


def test_kinds_that_were_not_asked_for_are_not_told(memos: FakeMemos) -> None:
    for kinds, wanted in (("facts", {"fact"}), ("facts_and_preferences", {"fact", "preference"})):
        memories = recorded(memos, ALL_KINDS, kinds=kinds).variables["memories"]
        assert {one["kind"] for one in memories} == wanted


@pytest.mark.parametrize(
    ("deployment", "data", "what"),
    [
        (CLOUD, None, "no lists of memories"),
        (CLOUD, [], "no lists of memories"),
        (CLOUD, {"memory_detail_list": "none"}, "memory_detail_list is no list of memories"),
        (CLOUD, {"memory_detail_list": [7]}, "memory_detail_list is no list of memories"),
        (CLOUD, {"preference_detail_list": {"a": 1}}, "preference_detail_list is no list of memories"),
        (SELF_HOSTED, None, "no lists of memories"),
        (SELF_HOSTED, {}, "no lists of memories"),
        (SELF_HOSTED, {"text_mem": [{}]}, "no lists of memories"),
        (SELF_HOSTED, {"text_mem": [{"memories": [7]}]}, "no lists of memories"),
        (SELF_HOSTED, {"text_mem": [], "pref_mem": [{"memories": None}]}, "no lists of memories"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_search_of_unknown_shape_is_not_understood(
    memos: FakeMemos, deployment: Deployment, data: Any, what: str
) -> None:
    error = failure(search, memos, deployment, deployment.says(data))
    assert type(error) is MemosReplyError
    assert f"MemOS at {deployment.host} sent a reply that is not understood ({what})." in str(error)
