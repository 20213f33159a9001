"""The parameters of Search Memory alone."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from memos_client.errors import MemosInputError
from memos_client.models import SearchRequest
from tests.unit.samples import cases

LIMITS = [name for name in SearchRequest.model_fields if name.endswith("_number")]
DAYS = ["created_after", "created_before"]
FILTER = {"and": [{"tags": {"contains": "food"}}]}


def parse(**values: Any) -> SearchRequest:
    return SearchRequest.parse({"query": "food", "user_id": "user-1"} | values)


def refusal(**values: Any) -> str:
    with pytest.raises(MemosInputError) as caught:
        parse(**values)
    return str(caught.value)


def test_defaults_are_those_of_the_contract() -> None:
    absent = dict.fromkeys(["relativity", "conversation_id", "agent_id", "app_id", *DAYS, "filter"])
    assert parse().model_dump() == absent | {
        "query": "food",
        "user_id": "user-1",
        "memory_limit_number": 6,
        "include_preference": True,
        "preference_limit_number": 6,
        "include_tool_memory": False,
        "tool_memory_limit_number": 6,
        "include_skill": False,
        "skill_limit_number": 6,
        "knowledgebase_ids": (),
        "tags": (),
        "max_context_chars": 0,
        "json_output": True,
    }


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(("value", "read"), [("6", 6), ("6.0", 6), (6.0, 6), (1, 1), (25, 25), (" 7 ", 7)])
def test_limit_takes_whole_numbers_in_any_form(name: str, value: Any, read: int) -> None:
    assert getattr(parse(**{name: value}), name) == read


@pytest.mark.parametrize("name", LIMITS)
@cases(
    "value, problem",
    {
        "6.5": (6.5, "wants a whole number"),
        "'6.5'": ("6.5", "wants a whole number"),
        "word": ("six", "wants a whole number"),
        "NaN": (math.nan, "wants a number"),
        "infinite": (math.inf, "wants a number"),
        "true": (True, "wants a number"),
        "false": (False, "wants a number"),
        "0": (0, "at least 1"),
        "26": (26, "at most 25"),
        "huge": (10**400, "at most 25"),
    },
)
def test_limit_refuses_what_is_no_whole_number_from_1_to_25(name: str, value: Any, problem: str) -> None:
    assert refusal(**{name: value}) == f"{name}: {problem}."


@pytest.mark.parametrize(("value", "read"), [(0, 0), (1, 1), ("0.45", 0.45), (0.45, 0.45)])
def test_relativity_takes_numbers_from_0_to_1(value: Any, read: float) -> None:
    assert parse(relativity=value).relativity == read


@pytest.mark.parametrize("value", [-0.1, 1.1, "much", True, math.nan, math.inf, [0.5]], ids=str)
def test_relativity_refuses_all_else(value: Any) -> None:
    assert refusal(relativity=value).startswith("relativity: ")


@pytest.mark.parametrize("value", [-1, 0.5, True, math.nan, "long"], ids=str)
def test_context_limit_refuses_what_is_no_length(value: Any) -> None:
    assert refusal(max_context_chars=value).startswith("max_context_chars: ")


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize("value", ["2026-01-31", " 2026-01-31 "])
def test_day_is_a_date(name: str, value: str) -> None:
    assert getattr(parse(**{name: value}), name) == date(2026, 1, 31)


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize("days", [0, 7, 30])
def test_day_is_days_ago_in_utc(name: str, days: int) -> None:
    earliest = datetime.now(UTC).date()
    read = getattr(parse(**{name: f"{days}d"}), name)
    assert earliest <= read + timedelta(days) <= datetime.now(UTC).date()


@pytest.mark.parametrize("name", DAYS)
@pytest.mark.parametrize(
    "value", ["31.01.2026", "2026-02-30", "2026-01-31T10:00", "7", "-7d", "7w", "99999999d", 7, True], ids=str
)
def test_day_refuses_all_else(name: str, value: Any) -> None:
    assert refusal(**{name: value}) == f"{name}: wants a date such as 2026-01-31, or days ago such as 7d."


@pytest.mark.parametrize("before", ["2026-01-30", "2026-01-31"])
def test_span_of_days_must_not_be_empty(before: str) -> None:
    words = refusal(created_after="2026-01-31", created_before=before)
    assert words == "created_after: wants a day before created_before."


@cases("value", {"object": FILTER, "JSON text": json.dumps(FILTER), "list of one": [json.dumps(FILTER)]})
def test_filter_is_read_from_any_form(value: Any) -> None:
    assert parse(filter=value).filter == FILTER


@pytest.mark.parametrize("source", ["user", "agent", "public", "knowledgebase"])
def test_filter_may_be_given_for_each_source(source: str) -> None:
    assert parse(filter={source: FILTER}).filter == {source: FILTER}


@pytest.mark.parametrize(
    "value",
    [
        '{"and": [',
        "['and']",
        "{'and': [{'scene': 'chat'}]}",
        "[1]",
        "7",
        '{"scene": "chat"}',
        '{"and": []}',
        '{"and": {}}',
        '{"and": [1]}',
        '{"and": [{}]}',
        '{"and": [{"a": 1}], "or": [{"b": 1}]}',
        '{"user": {"and": [{"a": 1}]}, "and": [{"a": 1}]}',
        '{"nobody": {"and": [{"a": 1}]}}',
        '{"and": [{"a": NaN}]}',
    ],
)
def test_malformed_filter_is_refused_by_name(value: str) -> None:
    words = refusal(filter=value)
    assert words.startswith("filter: ")
    assert value not in words


@pytest.mark.parametrize("name", ["tags", "agent_id", "app_id", *DAYS])
def test_filter_and_simple_filters_exclude_each_other(name: str) -> None:
    assert refusal(filter=FILTER, **{name: "7d"}).startswith("filter: ")


@cases(
    "text, sent",
    {
        "NUL": ("a\0b", "ab"),
        "surrogate": ("a\ud800b", "a?b"),
        "list": ("['a']", "['a']"),
        "spaces": (" a ", " a "),
        "the word None": ("None", "None"),
    },
)
def test_query_is_made_sendable_and_otherwise_kept(text: str, sent: str) -> None:
    assert parse(query=text).query == sent


def test_query_of_unsendable_characters_only_is_absent() -> None:
    assert refusal(query="\0") == "query: needed."


def test_definition_of_a_field_is_no_user() -> None:
    printed = "{'value': '{{#sys.user_id#}}', 'type': <ToolInputType.MIXED: 'mixed'>}"
    assert refusal(user_id=printed) == "user_id: wants text, and got a list or an object."


def test_object_is_no_list_of_tags() -> None:
    assert refusal(tags="[inf, -inf, nan]") == "tags: not valid JSON (expected value at line 1 column 2)."
    assert refusal(tags="{'k': None}") == "tags: wants text, and got a list or an object."
