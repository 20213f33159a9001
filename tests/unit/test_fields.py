"""Fields: what Dify sends, read or refused in words that complete "name: …".

Numbers, switches and queries are in test_inputs.py, identifiers in test_identity.py.
"""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from memos_client.fields import MessageText, Separated, decoded, is_absent
from memos_client.labels import Conditions, ConditionsField, Labels, LabelsField

PRINTED = "wants text, and got a list or an object"
NO_JSON = "not valid JSON "
FILTER = {"and": [{"tags": {"contains": "food"}}]}


def read(kind: Any, value: Any) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    [problem] = caught.value.errors()
    return str(problem.get("ctx", {}).get("error") or problem["type"])


@pytest.mark.parametrize("value", [None, "", " \n\t", "\u3000", [], [None], [""], [None, " "]], ids=repr)
def test_nothing_is_absent(value: Any) -> None:
    assert is_absent(value)


@pytest.mark.parametrize("value", ["x", "null", "[]", 0, False, {}, [0], ["x", None], [[]]], ids=repr)
def test_something_is_not_absent(value: Any) -> None:
    assert not is_absent(value)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ('{"a": 1}', {"a": 1}),
        (['["a"]'], ["a"]),
        (' "a\0" ', "a"),
        (7, 7),
        (["a", "b"], ["a", "b"]),
        ({}, {}),
    ],
    ids=repr,
)
def test_json_text_is_decoded_and_all_else_kept(value: Any, content: Any) -> None:
    assert decoded(value) == content


@pytest.mark.parametrize("value", ["", "food", '{"a":', "{'a': 1}", "[NaN]", "[" * 100_000, ["food"]])
def test_text_that_is_no_json_is_refused_without_its_words(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^not valid JSON \(") as caught:
        decoded(value)
    assert "food" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["['a', 1]", "{'k': None}", " [None] ", "[{'role': 'user'}]", "[True]", "[\"it's\", 'a']"],
    ids=repr,
)
def test_list_or_object_that_dify_printed_is_no_message(value: str) -> None:
    assert refusal(MessageText, value) == PRINTED


@pytest.mark.parametrize(
    "value",
    [
        *(
            '["a"]',
            '{"a": null}',
            "[see below]",
            "{'a'",
            "[1, 2,]",
            "{1, 2}",
            "[a](https://x.org)",
            "x ['a']",
        ),
        *("['\\d']", "[1or 2]", "[nan]", "[" * 9000, f"[{'9' * 5000}]", f"['{'a' * 10_000}']", "[-" * 4000),
    ],
    ids=lambda value: value[:20],
)
def test_brackets_of_a_person_or_of_json_are_a_message(value: str) -> None:
    assert read(MessageText, value) == value


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a", ("a",)),
        (" a , b,, ,a", ("a", "b")),
        ("a,b;c\uff0cd\uff1be﹐f﹔g、h﹑i､j،k؛l", tuple("abcdefghijkl")),
        ("a\nb\r\nc\u2028d\u2029e\x85f", tuple("abcdef")),
        (["a", " b ", None, "", "c,d"], ("a", "b", "c,d")),
        ('["a", "b c"]', ("a", "b c")),
        ("a\0b\ud800", ("ab?",)),
        (", ;", ()),
    ],
    ids=ascii,
)
def test_separators_of_all_scripts_separate(value: Any, parts: tuple[str, ...]) -> None:
    assert read(Separated, value) == parts


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((value, "wants text separated by commas") for value in (7, [7], {"a": 1}, '["a", 7]', '{"a": 1}')),
        ("['a', 'b']", PRINTED),
        ("{'a': 'b'}", PRINTED),
        ("a, sys.files", "the variable sys.files has no value in this app"),
        ("[\ud800", NO_JSON + "(expected value at line 1 column 2)"),
        ('["1767225699999.text"]', "the variable 1767225699999.text has no value in this app"),
    ],
    ids=repr,
)
def test_separated_text_refuses_all_else(value: Any, words: str) -> None:
    assert refusal(Separated, value) == words


NOTATION = {
    "": ((), {}),
    " ,; ": ((), {}),
    "food": (("food",), {}),
    "food, scene=chat": (("food",), {"scene": "chat"}),
    "美食\uff0c旅行": (("美食", "旅行"), {}),
    "food;scene\uff1dchat\nx = a b ": (("food",), {"scene": "chat", "x": "a b"}),
    "food, Food, food": (("food", "Food"), {}),
    "formula=a=b": ((), {"formula": "a=b"}),
    "_n1=2.50": ((), {"_n1": "2.50"}),
    "agent_id=a, app_id=李": ((), {"agent_id": "a", "app_id": "李"}),
    "mail=joe@infosys.com, scene: chat": (("scene: chat",), {"mail": "joe@infosys.com"}),
    "a\0b=c\ud800": ((), {"ab": "c?"}),
    '["a,b", " c ", null, "", 7, true]': (("a,b", "c", "7", "true"), {}),
}


@pytest.mark.parametrize(("text", "result"), NOTATION.items(), ids=ascii)
def test_notation_is_the_same_for_labels_and_conditions(text: str, result: Any) -> None:
    assert read(LabelsField, text) == Labels(*result)
    assert read(ConditionsField, text) == Conditions(*result)


NAME = "a name is made of a-z, A-Z, 0-9 and _, and starts with no digit"
WORD = "a tag is a word alone, and one = joins a name and its value"
RESERVED = ["id", "key", "type", "status", "source", "user_name", "memory", "created_at", "dify_tags", "or"]
REFUSED = {
    "scene=": "scene has no value",
    "美食\uff0c旅行\uff1bscene\uff1d": "scene has no value",
    "场景=a": NAME,
    "scene=chat, scene=mail": "scene is given twice",
    "scene==chat": WORD,
    "tags=food": WORD,
    "tags": WORD,
    "=chat": NAME,
    "a.b=c": NAME,
    "1a=b": NAME,
    "a-b=c": NAME,
    "scene!=chat": NAME,
    "user_id=bob": "user_id has a field of its own",
    "user_id": "user_id has a field of its own",
    "app_id": "app_id has no value",
    "app_id=sys.app_id": "the variable sys.app_id has no value in this app",
    "app_id={{#sys.app_id#}}": "the variable sys.app_id has no value in this app",
    "scene=x-1767225600013.text": "the variable 1767225600013.text has no value in this app",
    "sys.query": "the variable sys.query has no value in this app",
    "{{#sys.query#}}": "the variable sys.query has no value in this app",
    "food, env.TAG": "the variable env.TAG has no value in this app",
    f"agent_id={'a' * 101}": "at most 100 characters",
    "['a', 'b']": PRINTED,
    "{'a': 'b'}": PRINTED,
    '["a", ["b"]]': "each value wants text, a number, true or false",
    '["a"': NO_JSON,
} | {f"{name}=x": f"{name} is a name that MemOS keeps for itself" for name in RESERVED}


@pytest.mark.parametrize("kind", [LabelsField, ConditionsField], ids=["labels", "conditions"])
@pytest.mark.parametrize(("text", "words"), REFUSED.items(), ids=ascii)
def test_what_is_not_the_notation_is_refused_rather_than_dropped(kind: Any, text: str, words: str) -> None:
    assert refusal(kind, text).startswith(words)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("{}", Labels()),
        ('{"scene": "chat, mail"}', Labels((), {"scene": "chat, mail"})),
        (
            '{"tags": ["a,b"], "n": 2, "x": 2.5, "on": true}',
            Labels(("a,b",), {"n": "2", "x": "2.5", "on": "true"}),
        ),
        ('{"tags": "a\uff0cb"}', Labels(("a", "b"))),
        ('{"tags": null, "a": "b"}', Labels((), {"a": "b"})),
        ({"tags": ["a"], "b": False}, Labels(("a",), {"b": "false"})),
        (["a", "b"], Labels(("a", "b"))),
        (None, Labels()),
    ],
    ids=repr,
)
def test_labels_take_json(value: Any, result: Labels) -> None:
    assert read(LabelsField, value) == result


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{"a": {"b": 1}}', "each value wants text, a number, true or false"),
        ('{"a": ["b"]}', "each value wants text, a number, true or false"),
        ('{"a": null}', "a has no value"),
        ('{"a": " "}', "a has no value"),
        ('{"a": 1, "a": 2}', "a is given twice"),
        ('{"": "a"}', NAME),
        ('{"user_id": "a"}', "user_id has a field of its own"),
        ('{"a": "sys.query"}', "the variable sys.query has no value in this app"),
        ('{"a": NaN}', NO_JSON),
        *((value, "holds a number that JSON does not have") for value in ({"a": math.nan}, '{"a": 1e999}')),
        ('{"tags": {"a": "b"}}', "wants tags and labels such as food, scene=chat"),
        (7, "wants tags and labels such as food, scene=chat"),
        ("created_after=7d", "created_after is a condition, not a label"),
        ("created_before", "created_before has no value"),
    ],
    ids=repr,
)
def test_labels_refuse_what_no_condition_could_find(value: Any, words: str) -> None:
    assert refusal(LabelsField, value).startswith(words)


def test_condition_takes_a_day_in_utc() -> None:
    conditions = read(ConditionsField, "food, created_after=2026-01-31, created_before = 2026-02-01")
    assert conditions == Conditions(("food",), {}, date(2026, 1, 31), date(2026, 2, 1))


@pytest.mark.parametrize("days", [0, 7, 30])
def test_condition_takes_days_ago_in_utc(days: int) -> None:
    earliest = datetime.now(UTC).date()
    after = read(ConditionsField, f"created_after={days}d").created_after
    assert earliest <= after + timedelta(days) <= datetime.now(UTC).date()


@pytest.mark.parametrize(
    "day",
    ["31.01.2026", "2026-02-30", "2026-01-31T10:00", "7", "-7d", "7w", "99999999d", "99999d9", "999999d"],
)
def test_condition_refuses_all_other_days(day: str) -> None:
    words = "created_before wants a date such as 2026-01-31, or days ago such as 7d"
    assert refusal(ConditionsField, f"created_before={day}") == words


@pytest.mark.parametrize("before", ["2026-01-30", "2026-01-31"])
def test_span_of_days_must_not_be_empty(before: str) -> None:
    words = refusal(ConditionsField, f"created_after=2026-01-31, created_before={before}")
    assert words == "created_after wants a day before created_before"


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        (FILTER, FILTER),
        (' {"and": [{"tags": {"contains": "food"}}]} ', FILTER),
        *(({source: FILTER}, {source: FILTER}) for source in ("user", "agent", "public", "knowledgebase")),
        ('{"user": {"or": [{"a": 1}]}, "agent": {"and": [{"a": 1}, {"b": [2.5, null]}]}}', None),
    ],
    ids=repr,
)
def test_raw_filter_is_passed_on(value: Any, raw: Any) -> None:
    assert read(ConditionsField, value) == Conditions(raw=raw or decoded(value))


@pytest.mark.parametrize("value", ["{}", " { } ", {}, None, "", " "], ids=repr)
def test_empty_filter_is_absent(value: Any) -> None:
    assert read(ConditionsField, value) == Conditions()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((text, NO_JSON) for text in ('{"and": [', "{\ud800")),
        ("{'and': [{'scene': 'chat'}]}", PRINTED),
        ('{"scene": "chat"}', 'wants {"and": [...]} or {"or": [...]}'),
        ('{"and": [{"a": 1}], "or": [{"b": 1}]}', 'wants {"and": [...]}'),
        ('{"user": {"and": [{"a": 1}]}, "and": [{"a": 1}]}', 'wants {"and": [...]}'),
        ('{"nobody": {"and": [{"a": 1}]}}', 'wants {"and": [...]}'),
        *((f'{{"and": {rules}}}', '"and" and "or" want a list') for rules in ("[]", "{}", "[1]", "[{}]")),
        ('{"and": [{"a": NaN}]}', NO_JSON),
        *(
            (text, "holds a value that JSON does not have")
            for text in ('{"and": [{"a": 1e999}]}', {"and": {1}})
        ),
        ('{"and": [{"app_id": "sys.app_id"}]}', "the variable sys.app_id has no value in this app"),
        ('{"or": [{"a": ["x", "{{#1.a#}}"]}]}', "the variable 1.a has no value in this app"),
        (7, "wants tags and labels such as food, scene=chat"),
        ("created_after=sys.timestamp", "the variable sys.timestamp has no value in this app"),
    ],
    ids=repr,
)
def test_malformed_conditions_are_refused(value: Any, words: str) -> None:
    assert refusal(ConditionsField, value).startswith(words)
