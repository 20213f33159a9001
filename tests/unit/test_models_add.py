"""The parameters of Add Memory alone."""

import json
import math
from typing import Any

import pytest

from memos_client.errors import MemosInputError
from memos_client.models import AddRequest
from memos_client.prompt import block
from tests.unit.samples import cases

TURNS = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Welcome."}]
SAID = [("user", "Hello."), ("assistant", "Welcome.")]
RECALLED = block([("fact", "- The user eats no meat.")])


def parse(**values: Any) -> AddRequest:
    return AddRequest.parse({"user_id": "user-1"} | values)


def refusal(**values: Any) -> str:
    with pytest.raises(MemosInputError) as caught:
        parse(**values)
    return str(caught.value)


def test_defaults_are_those_of_the_contract() -> None:
    absent = dict.fromkeys(["conversation_id", "agent_id", "app_id"])
    assert parse(user_messages="Hello.").model_dump() == absent | {
        "user_messages": "Hello.",
        "ai_messages": "",
        "messages": [],
        "user_id": "user-1",
        "tags": (),
        "info": {},
        "async_mode": True,
        "allow_public": False,
        "allow_knowledgebase_ids": (),
    }


def one(role: str, content: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content}]}


@cases(
    "values, sent",
    {
        "user only": ({"user_messages": "Hello."}, SAID[:1]),
        "assistant only": ({"ai_messages": "Welcome."}, SAID[1:]),
        "both": ({"user_messages": "Hello.", "ai_messages": "Welcome."}, SAID),
        "list": ({"messages": TURNS}, SAID),
        "JSON text": ({"messages": json.dumps(TURNS)}, SAID),
        "JSON text in a list of one": ({"messages": [json.dumps(TURNS)]}, SAID),
        "system": (one("system", "s"), [("system", "s")]),
        "tool": (one("tool", "t"), [("tool", "t")]),
        "null content": ({"messages": [*TURNS, {"role": "user", "content": None}]}, SAID),
        "no content": ({"messages": [*TURNS, {"role": "user"}]}, SAID),
        "blank content": ({"messages": [{"role": "user", "content": " \n"}, TURNS[1]]}, SAID[1:]),
        "empty JSON list": ({"messages": "[]", "user_messages": "Hello."}, SAID[:1]),
        "unsendable characters": ({"ai_messages": "a\0b\ud800"}, [("assistant", "ab?")]),
        "NUL in a list": (one("user", "Hello.\0"), SAID[:1]),
        "the word None as said": ({"user_messages": "None"}, [("user", "None")]),
        "JSON as said": ({"user_messages": '["a"]'}, [("user", '["a"]')]),
        "brackets as said": ({"user_messages": "[see below]"}, [("user", "[see below]")]),
        "recalled in a text": ({"user_messages": f"{RECALLED}Hello."}, SAID[:1]),
        "recalled in a list": ({"messages": [{"role": "system", "content": RECALLED}, *TURNS]}, SAID),
    },
)
def test_messages_with_text_are_sent(values: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    assert [(turn.role, turn.content) for turn in parse(**values).turns] == sent


@cases(
    "values",
    {
        "nothing": {},
        "NUL": {"user_messages": "\0"},
        "only recalled": {"user_messages": RECALLED},
        "empty list": {"messages": "[]"},
        "null content": one("user", None),
        "only recalled in a list": one("user", RECALLED),
    },
)
def test_at_least_one_message_with_text_is_needed(values: dict[str, Any]) -> None:
    assert refusal(**values) == "user_messages, ai_messages: at least one message with text is needed."


def test_messages_and_single_texts_exclude_each_other() -> None:
    assert refusal(messages=TURNS, ai_messages="Welcome.").startswith("messages: ")


@pytest.mark.parametrize("value", ["['a', 1]", "{'k': None}", " [None] ", "[{'role': 'user'}]"])
def test_list_or_object_that_dify_printed_is_refused(value: str) -> None:
    problem = "wants text, and got a list or an object."
    assert refusal(user_messages=value) == f"user_messages: {problem}"
    assert refusal(ai_messages=value) == f"ai_messages: {problem}"
    assert refusal(**one("user", value)) == f"messages[0].content: {problem}"


@cases(
    "value, problem",
    {
        "cut off": ('[{"role": "user"', "messages: not valid JSON"),
        "text that Dify wrapped": (["Hello."], "messages: not valid JSON"),
        "printed by Python": ("[{'role': 'user', 'content': 'Hello.'}]", "messages: not valid JSON"),
        "object": ({"role": "user"}, "messages: wants a JSON array"),
        "JSON object": ('{"role": "user", "content": "Hello."}', "messages: wants a JSON array"),
        "JSON number": ("7", "messages: wants a JSON array"),
        "numbers": ([7], "messages[0]: wants an object with role and content"),
        "texts": (["Hello.", "Welcome."], "messages[0]: wants an object with role and content"),
        "no role": ([{"content": "Hello."}], "messages[0].role: needed"),
        "unknown role": ([TURNS[0], {"role": "robot", "content": "x"}], "messages[1].role: wants 'user', "),
        "parts": ([{"role": "user", "content": ["Hello."]}], "messages[0].content: wants text"),
        "number": ([{"role": "user", "content": 7}], "messages[0].content: wants text"),
        "time": ([TURNS[0] | {"chat_time": "soon"}], "messages[0].chat_time: wants a time such as 2026-"),
    },
)
def test_malformed_messages_are_refused_by_name(value: Any, problem: str) -> None:
    words = refusal(messages=value)
    assert words.startswith(problem)
    assert "Hello" not in words


@cases(
    "value, read",
    {
        "object": ({"scene": "chat"}, {"scene": "chat"}),
        "JSON text": ('{"n": 1, "x": 0.5, "on": true}', {"n": 1, "x": 0.5, "on": True}),
        "JSON text in a list of one": (['{"list": ["a", "b"]}'], {"list": ["a", "b"]}),
        "unsendable characters": ({"a\0": "b\0c", "d": ["e\ud800"]}, {"a": "bc", "d": ["e?"]}),
        "empty": ("{}", {}),
    },
)
def test_info_is_a_flat_object(value: Any, read: dict[str, Any]) -> None:
    assert parse(user_messages="Hello.", info=value).info == read


@pytest.mark.parametrize(
    "value",
    [
        '{"scene": ',
        "scene=chat",
        "{'scene': 'chat'}",
        '["scene"]',
        "7",
        {"scene": {"name": "chat"}},
        {"scene": None},
        {"scene": [1]},
        {"scene": math.nan},
        {"scene": math.inf},
        '{"scene": NaN}',
    ],
    ids=str,
)
def test_malformed_info_is_refused_by_name(value: Any) -> None:
    words = refusal(user_messages="Hello.", info=value)
    assert words.startswith("info: ")
    assert "chat" not in words
