"""What Add Memory sends of what was said, and what of it nobody said."""

import json
from typing import Any

import pytest

from memos_client.kinds import FACT
from memos_client.memories import found
from memos_client.memory_block import block
from tests.unit.samples import Deployment, FakeMemos, add_request, cases, failure

TURNS = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Welcome."}]
HELLO, WELCOME = TURNS
RECALLED = block(found({FACT: [{"memory_value": "The user eats no meat."}]}, 6))
CALLS = [
    {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
]
NOTHING = "user_messages, ai_messages: at least one message with text is needed."


def user(content: Any, **others: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content, **others}]}


def assistant(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": content}]}


def refusal(**values: Any) -> str:
    return str(failure(add_request, **values))


@cases(
    "values, sent",
    {
        "user only": ({"user_messages": "Hello."}, [HELLO]),
        "assistant only": ({"ai_messages": "Welcome."}, [WELCOME]),
        "both": ({"user_messages": "Hello.", "ai_messages": "Welcome."}, TURNS),
        "list": ({"messages": TURNS}, TURNS),
        "JSON text": ({"messages": json.dumps(TURNS)}, TURNS),
        "JSON text in a list of one": ({"messages": [json.dumps(TURNS)]}, TURNS),
        "empty JSON list": ({"messages": "[]", "user_messages": "Hello."}, [HELLO]),
        "their order": ({"messages": [WELCOME, HELLO]}, [WELCOME, HELLO]),
        "system": ({"messages": [{"role": "system", "content": "s"}]}, [{"role": "system", "content": "s"}]),
        "other keys": (user("Hello.", name="Mo", id=7), [HELLO]),
        "no content": ({"messages": [*TURNS, {"role": "user", "content": None}]}, TURNS),
        "blank content": ({"messages": [{"role": "user", "content": " \n"}, WELCOME]}, [WELCOME]),
        "text parts": (
            user([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]),
            user("One.\nTwo.")["messages"],
        ),
        "tool calls without a text": (
            {"messages": [{"role": "assistant", "tool_calls": CALLS}]},
            [{"role": "assistant", "tool_calls": CALLS}],
        ),
        "tool calls with a text": (
            {"messages": [{"role": "assistant", "content": "I look.", "tool_calls": CALLS}]},
            [{"role": "assistant", "content": "I look.", "tool_calls": CALLS}],
        ),
        "result of a tool": (
            {"messages": [{"role": "tool", "content": "None", "tool_call_id": "call-1"}]},
            [{"role": "tool", "content": "None", "tool_call_id": "call-1"}],
        ),
        "time": (
            user("Hello.", chat_time="2026-01-31 09:30:00"),
            [HELLO | {"chat_time": "2026-01-31 09:30:00"}],
        ),
        "time with an offset": (
            user("Hello.", chat_time="2026-01-31T23:30:00.5-02:00"),
            [HELLO | {"chat_time": "2026-01-31 23:30:00"}],
        ),
        "no time": (user("Hello.", chat_time=""), [HELLO]),
    },
)
def test_messages_are_sent_as_they_were_given(
    memos: FakeMemos, deployment: Deployment, values: dict[str, Any], sent: list[Any]
) -> None:
    memos.answers(deployment.says(deployment.added))
    deployment.add(**values)
    if deployment.name == "self_hosted":  # which wants the key in any case
        sent = [{"content": None} | message for message in sent]
    assert memos.requests[0].json["messages"] == sent


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"user_messages": f"{RECALLED}\nHello."}, "\nHello."),
        ({"user_messages": f"Hello.{RECALLED.upper()}"}, "Hello."),
        ({"user_messages": "<memories>My diary.</memories>"}, "<memories>My diary.</memories>"),
        ({"ai_messages": "<think>Hm.\n</think>\n\nWelcome."}, "Welcome."),
        ({"ai_messages": "Hm.</think>Welcome."}, "Welcome."),
        (assistant(f"<think>Hm.</think>{RECALLED}Welcome."), "Welcome."),
        ({"user_messages": "<think>Hm.</think>Hello."}, "<think>Hm.</think>Hello."),
        ({"user_messages": "Hel\0lo.1767225699999.text"}, "Hello."),
        ({"user_messages": '["a"]'}, '["a"]'),
        ({"user_messages": "[see below]"}, "[see below]"),
    ],
)
def test_only_what_was_said_is_stored(values: dict[str, Any], said: str) -> None:
    assert [turn.content for turn in add_request(**values).turns] == [said]


@pytest.mark.parametrize(
    "text",
    [
        RECALLED,
        "<think>Hm. It",
        "<think>Hm.</think>",
        "\0",
        "None",
        " null ",
        "N/A",
        "{{#1767225699999.text#}}",
    ],
)
def test_what_nobody_said_is_no_message(text: str) -> None:
    assert refusal(ai_messages=text) == NOTHING
    assert refusal(**assistant(text)) == NOTHING
    assert [turn.body for turn in add_request(user_messages="Hello.", ai_messages=text).turns] == [HELLO]


@pytest.mark.parametrize("messages", [[], "[]", [{"role": "user", "content": ""}]], ids=str)
def test_at_least_one_message_with_something_in_it_is_needed(messages: Any) -> None:
    assert refusal(messages=messages) == NOTHING


def test_messages_and_single_texts_exclude_each_other() -> None:
    words = "messages: give either messages, or user_messages and ai_messages."
    assert refusal(messages=TURNS, ai_messages="Welcome.") == words


@pytest.mark.parametrize("value", ["['a', 1]", "{'k': None}", " [None] ", "[{'role': 'user'}]"])
def test_list_or_object_that_dify_printed_is_refused(value: str) -> None:
    problem = "wants text, and got a list or an object."
    assert refusal(user_messages=value) == f"user_messages: {problem}"
    assert refusal(**user(value)) == f"messages[0].content: {problem}"


IMAGE = {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}}


@cases(
    "value, problem",
    {
        "cut off": ('[{"role": "user"', "messages: not valid JSON"),
        "text that Dify wrapped": (["Hello."], "messages: not valid JSON"),
        "printed by Python": ("[{'role': 'user', 'content': 'Hello.'}]", "messages: not valid JSON"),
        "object": ({"role": "user"}, "messages: wants a JSON array."),
        "JSON object": ('{"role": "user", "content": "Hello."}', "messages: wants a JSON array."),
        "JSON number": ("7", "messages: wants a JSON array."),
        "numbers": ([7, 8], "messages[0]: wants an object with role and content."),
        "texts": (["Hello.", "Welcome."], "messages[0]: wants an object with role and content."),
        "no role": ([{"content": "Hello."}], "messages[0].role: needed."),
        "unknown role": ([HELLO, {"role": "robot", "content": "x"}], "messages[1].role: wants 'user', "),
        "no key content": ([HELLO, {"role": "user", "text": "Hello."}], "messages[1]: content: needed"),
        "parts that are no text": (
            user([{"type": "text", "text": "Hello."}, IMAGE, {"type": "file"}])["messages"],
            "messages[0].content: only text parts can be remembered, and this has: file, image_url.",
        ),
        "parts of no type": (
            user(["Hello."])["messages"],
            "messages[0].content: only text parts can be remembered, and this has: str.",
        ),
        "number": (user(7)["messages"], "messages[0].content: wants text."),
        "time": ([HELLO | {"chat_time": "soon"}], "messages[0].chat_time: wants a time such as 2026-"),
        "tool calls": ([HELLO | {"tool_calls": "weather"}], "messages[0].tool_calls: wants a JSON array."),
    },
)
def test_malformed_messages_are_refused_by_name(value: Any, problem: str) -> None:
    words = refusal(messages=value)
    assert words.startswith(problem)
    assert words.count("messages") == 1
    assert "Hello" not in words
