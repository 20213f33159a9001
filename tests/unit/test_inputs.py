"""The parameters of both tools: read from whatever Dify sends, or refused by name."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.labels import Conditions, Labels
from tests.unit.samples import CALLER, cases, failure

Model = type[SearchRequest] | type[AddRequest]
NEEDED: dict[Model, dict[str, Any]] = {
    SearchRequest: {"query": "food"},
    AddRequest: {"user_messages": "Hello."},
}
NOTHING = "user_messages, ai_messages: at least one message with text is needed."
BLANKS = {"null": None, "empty": "", "white space": " \n\t", "[null]": [None], "['']": [""], "[]": []}
BLANK = {"role": "user", "content": ""}
RAW = {"and": [{"scene": "chat"}]}
FIELDS = {f"{model.__name__}-{name}": (model, name) for model in NEEDED for name in model.model_fields}
MODEL_OF: dict[str, Model] = {name: model for model in reversed(NEEDED) for name in model.model_fields}
models = pytest.mark.parametrize("model", NEEDED)


def parse(model: Model, caller: Caller = CALLER, **values: Any) -> Any:
    return model.parse(NEEDED[model] | values, caller)


def refusal(model: Model, caller: Caller = CALLER, **values: Any) -> str:
    return str(failure(parse, model, caller, **values))


def fields(request: Any) -> dict[str, Any]:
    return {name: getattr(request, name) for name in type(request).model_fields}


@cases("model, file", {"search": (SearchRequest, "search_memory"), "add": (AddRequest, "add_memory")})
def test_no_field_is_read_that_the_yaml_does_not_declare(model: Model, file: str) -> None:
    declared = yaml.safe_load((Path(__file__).parents[2] / "tools" / f"{file}.yaml").read_text())
    assert {parameter["name"] for parameter in declared["parameters"]} == set(model.model_fields)
    assert parse(model, top_k=3, user_key="x", mem_cube_id="user-2", allow_public=True) == parse(model)


def test_defaults_are_those_of_the_contract() -> None:
    common = {"user_id": "user-1", "on_error": "fail", "kinds": "facts_and_preferences"}
    assert fields(parse(SearchRequest)) == common | {
        "query": "food",
        "memory_limit_number": 6,
        "filter": Conditions(),
        "relativity": None,
        "knowledgebase_ids": (),
    }
    assert fields(parse(AddRequest)) == common | {
        "user_messages": "Hello.",
        "ai_messages": "",
        "messages": [],
        "conversation_id": "conversation-1",
        "labels": Labels(),
        "extract_prompt": "",
        "async_mode": True,
    }


@cases("model, name", FIELDS)
@cases("blank", BLANKS)
def test_blank_means_absent(model: Model, name: str, blank: Any) -> None:
    needed = {"query": "query: needed.", "user_messages": NOTHING}
    if name in needed:
        assert refusal(model, **{name: blank}) == needed[name]
    else:
        assert parse(model, **{name: blank}) == parse(model)


WHOLE, NUMBER, SWITCH = "wants a whole number", "wants a number", "wants true or false"
TEXT, PRINTED = "wants text", "wants text, and got a list or an object"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("query", ["food"], TEXT),
        ("query", 7, TEXT),
        ("query", "\0", "needed"),
        ("query", "{{#sys.query#}}", "the variable sys.query has no value in this app"),
        ("query", "sys.query", "the variable sys.query has no value in this app"),
        ("user_id", 7, TEXT),
        ("memory_limit_number", "six", WHOLE),
        ("memory_limit_number", 6.5, WHOLE),
        ("memory_limit_number", True, NUMBER),
        ("memory_limit_number", math.nan, NUMBER),
        ("memory_limit_number", 0, "at least 1"),
        ("memory_limit_number", "26", "at most 25"),
        ("memory_limit_number", 10**400, "at most 25"),
        ("relativity", "much", NUMBER),
        ("relativity", math.inf, NUMBER),
        ("relativity", "nan", NUMBER),
        ("relativity", False, NUMBER),
        ("relativity", [0.5], NUMBER),
        ("relativity", -0.1, "at least 0"),
        ("relativity", "1.1", "at most 1"),
        ("kinds", "events", "wants 'facts', 'facts_and_preferences' or 'all'"),
        ("filter", "{'and': [1]}", PRINTED),
        ("knowledgebase_ids", 7, "wants text separated by commas"),
        ("on_error", "ignore", "wants 'fail' or 'continue'"),
        ("user_messages", ["Hello."], TEXT),
        ("ai_messages", {"text": "Hello."}, TEXT),
        ("conversation_id", 7, TEXT),
        ("conversation_id", "c" * 101, "at most 100 characters"),
        ("labels", "['food']", PRINTED),
        ("extract_prompt", {"a": 1}, TEXT),
        ("extract_prompt", "{{#env.rule#}}", "the variable env.rule has no value in this app"),
        ("async_mode", "perhaps", SWITCH),
        ("messages", 7, "wants a JSON array"),
    ],
)
def test_value_of_a_wrong_form_is_refused_by_name(name: str, value: Any, problem: str) -> None:
    assert refusal(MODEL_OF[name], **{name: value}) == f"{name}: {problem}."


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("query", " None of a\0b\ud800 ", " None of ab? "),
        ("query", "['a']", "['a']"),
        ("memory_limit_number", 1, 1),
        ("memory_limit_number", " 25 ", 25),
        ("memory_limit_number", "6.0", 6),
        ("memory_limit_number", 6.0, 6),
        ("relativity", "0.45", 0.45),
        ("relativity", "1e-7", 1e-7),
        ("relativity", 0, 0),
        ("relativity", 1, 1),
        ("knowledgebase_ids", "kb-1, kb-2", ("kb-1", "kb-2")),
        ("filter", "food", Conditions(tags=("food",))),
        ("filter", '{"and": [{"scene": "chat"}]}', Conditions(raw=RAW)),
        ("labels", "food; scene=chat", Labels(("food",), {"scene": "chat"})),
        ("async_mode", "False", False),
        ("async_mode", 0, False),
        ("async_mode", "true", True),
    ],
    ids=ascii,
)
def test_value_is_read_in_any_form(name: str, value: Any, read: Any) -> None:
    assert getattr(parse(MODEL_OF[name], **{name: value}), name) == read


def test_user_is_the_given_one_or_that_of_the_run() -> None:
    assert parse(SearchRequest, user_id="user-2").user_id == "user-2"
    assert parse(SearchRequest).user_id == "user-1"
    nobody = Caller(None, "app-1", None, "")
    assert refusal(SearchRequest, nobody) == "user_id: needed, since Dify names no user for this run."


@models
def test_user_key_is_that_of_the_user_and_opens_their_memory(model: Model) -> None:
    key = parse(model, user_id="user-2").user_key
    assert key == CALLER.user_key("user-2")
    assert parse(model, Caller("user-1", None, None, CALLER.api_key), user_id=key).user_id == "user-2"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [("filter", RAW, "a raw filter"), ("knowledgebase_ids", "kb-1", "this field")],
)
def test_fields_for_nodes_are_refused_in_a_call_without_an_app(name: str, value: Any, what: str) -> None:
    words = f"{name}: {what} is for workflow nodes; give agents Recall, Remember and Forget."
    assert parse(SearchRequest, **{name: value})
    for app in (None, ""):
        caller = Caller("user-1", app, None, CALLER.api_key)
        assert refusal(SearchRequest, caller, **{name: value}) == words
        assert parse(SearchRequest, caller, filter="food").filter.tags == ("food",)


@cases(
    "model, values, words",
    {
        "search": (
            SearchRequest,
            {"user_id": "u" * 101, "query": ""},
            "user_id: at most 100 characters. query: needed.",
        ),
        "add": (
            AddRequest,
            {"user_id": "u" * 101, "user_messages": 7, "async_mode": "secret"},
            "user_id: at most 100 characters. user_messages: wants text. async_mode: wants true or false.",
        ),
    },
)
def test_every_problem_is_told_at_once(model: Model, values: dict[str, Any], words: str) -> None:
    assert refusal(model, **values) == words
    assert refusal(model, **values, on_error="continue") == words


@models
def test_no_error_shows_a_value(model: Model) -> None:
    values = {name: ["secret", {"secret": 1}] for name in model.model_fields if name != "messages"}
    assert "secret" not in refusal(model, **values)


@cases(
    "model, values, words",
    {
        "empty query": (SearchRequest, {"query": " "}, "query: needed."),
        "query of a node that did not run": (
            SearchRequest,
            {"query": "1767225699999.text"},
            "query: the variable 1767225699999.text has no value in this app.",
        ),
        "query of a file": (SearchRequest, {"query": ["photo.png"]}, "query: wants text."),
        "nothing said": (AddRequest, {"user_messages": ""}, NOTHING),
        "answer that was all thought": (
            AddRequest,
            {"user_messages": "", "ai_messages": "<think>Hm."},
            NOTHING,
        ),
        "nothing in a list": (AddRequest, {"user_messages": "", "messages": [BLANK]}, NOTHING),
        "printed list": (AddRequest, {"ai_messages": "['a', 1]"}, f"ai_messages: {PRINTED}."),
    },
)
def test_run_that_continues_keeps_problems_of_what_was_said(
    model: Model, values: dict[str, Any], words: str
) -> None:
    assert refusal(model, **values) == words
    request = parse(model, **values, on_error="continue", user_id="user-2")
    assert (request.continues, request.user_id) == (True, "user-2")
    assert request.user_key == CALLER.user_key("user-2")
    assert str(failure(request.check)) == words


@cases(
    "model, values",
    {
        "user": (SearchRequest, {"user_id": "sys.user_id"}),
        "limit": (SearchRequest, {"memory_limit_number": 26}),
        "filter": (SearchRequest, {"filter": "scene="}),
        "labels": (AddRequest, {"labels": "scene="}),
        "malformed messages": (AddRequest, {"user_messages": "", "messages": "[{"}),
        "twice": (AddRequest, {"messages": [{"role": "user", "content": "Hello."}]}),
    },
)
def test_run_that_continues_still_raises_problems_of_the_builder(
    model: Model, values: dict[str, Any]
) -> None:
    assert refusal(model, **values, on_error="continue") == refusal(model, **values)
