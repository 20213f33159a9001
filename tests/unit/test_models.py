"""The parameters that both tools take alike, read from whatever Dify sends."""

import math
from typing import Any

import pytest

from memos_client.errors import MemosInputError
from memos_client.models import AddRequest, SearchRequest
from tests.unit.samples import cases

Model = type[SearchRequest] | type[AddRequest]
NEEDED: dict[Model, dict[str, Any]] = {
    SearchRequest: {"query": "food", "user_id": "user-1"},
    AddRequest: {"user_messages": "Hello.", "user_id": "user-1"},
}
BLANKS = {"null": None, "empty": "", "white space": " \n\t", "[null]": [None], "['']": [""], "[]": []}


def fields(*names: str) -> pytest.MarkDecorator:
    """Parametrise over the fields of both models, or over those that are named so."""
    table = [(model, name) for model in NEEDED for name in model.model_fields if name in names or not names]
    return cases("model, name", {f"{model.__name__}-{name}": (model, name) for model, name in table})


identifiers = fields("user_id", "conversation_id", "agent_id", "app_id")
lists = fields("tags", "knowledgebase_ids", "allow_knowledgebase_ids")
switches = fields(
    "include_preference", "include_tool_memory", "include_skill", "json_output", "async_mode", "allow_public"
)
models = pytest.mark.parametrize("model", NEEDED)


def parse(model: Model, **values: Any) -> Any:
    return model.parse(NEEDED[model] | values)


def refusal(model: Model, **values: Any) -> str:
    with pytest.raises(MemosInputError) as caught:
        parse(model, **values)
    return str(caught.value)


@fields()
@cases("blank", BLANKS)
def test_blank_means_absent(model: Model, name: str, blank: Any) -> None:
    if name == "user_messages":
        words = "user_messages, ai_messages: at least one message with text is needed."
        assert refusal(model, user_messages=blank) == words
    elif name in NEEDED[model]:
        assert refusal(model, **{name: blank}) == f"{name}: needed."
    else:
        assert parse(model, **{name: blank}) == parse(model)


@models
@pytest.mark.parametrize("literal", ["sys.user_id", "{{#sys.user_id#}}", "env.user", "1711111111111.user"])
def test_user_variable_without_a_value_is_refused(model: Model, literal: str) -> None:
    with pytest.raises(MemosInputError, match=r"^user_id: .* has no value"):
        model.parse(NEEDED[model] | {"user_id": literal}, user_id="run-user")


@models
@pytest.mark.parametrize("literal", ["sys.conversation_id", " sys.conversation_id ", "{{#sys.dialogue#}}"])
def test_conversation_variable_without_a_value_means_none(model: Model, literal: str) -> None:
    values = NEEDED[model] | {"conversation_id": literal}
    assert model.parse(values).conversation_id is None
    assert model.parse(values, conversation_id="run").conversation_id == "run"


@identifiers
@pytest.mark.parametrize("value", ["u" * 100, "é" * 100, "李雷 7", "a.b@c/d:e"], ids=len)
def test_identifier_is_sent_as_it_is(model: Model, name: str, value: str) -> None:
    assert getattr(parse(model, **{name: value}), name) == value


@identifiers
@cases(
    "value",
    {
        "too long": "u" * 101,
        "line end": "x\ny",
        "NUL": "xy\0",
        "zero width": "x\u200by",
        "direction": "\u202exy",
        "surrogate": "xy\ud800",
        "space before": " xy",
        "space after": "xy ",
        "wide space": "xy\u3000",
        "printed list": "['x']",
        "printed object": "{'x': 1}",
    },
)
def test_identifier_is_refused_rather_than_repaired(model: Model, name: str, value: str) -> None:
    words = refusal(model, **{name: value})
    assert words.startswith(f"{name}: ")
    assert value not in words


@switches
@pytest.mark.parametrize(
    ("value", "read"), [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False)]
)
def test_switch_takes_the_usual_words(model: Model, name: str, value: Any, read: bool) -> None:
    assert getattr(parse(model, **{name: value}), name) is read


@switches
@pytest.mark.parametrize("value", [2, "perhaps", math.nan, {"on": 1}], ids=str)
def test_switch_refuses_all_else(model: Model, name: str, value: Any) -> None:
    assert refusal(model, **{name: value}) == f"{name}: wants true or false."


@lists
@cases(
    "value, read",
    {
        "one": ("a", ("a",)),
        "spaces, gaps and twins": (" a , b,, ,a", ("a", "b")),
        "list": (["a", " b ", None, ""], ("a", "b")),
        "JSON text": ('["a", "b c"]', ("a", "b c")),
        "unsendable characters": ("a\0b\ud800", ("ab?",)),
        "only commas": (", ,", ()),
    },
)
def test_list_is_separated_by_commas(model: Model, name: str, value: Any, read: tuple[str, ...]) -> None:
    assert getattr(parse(model, **{name: value}), name) == read


@lists
@pytest.mark.parametrize("value", [7, [7], {"a": 1}, '["a", 7]', "['a', 'b']"], ids=str)
def test_list_refuses_all_else(model: Model, name: str, value: Any) -> None:
    assert refusal(model, **{name: value}).startswith(f"{name}: ")


@cases(
    "model, values",
    {
        "search": (SearchRequest, {"query": None, "memory_limit_number": "secret", "filter": "secret"}),
        "add": (AddRequest, {"user_messages": ["secret"], "info": "secret", "async_mode": "secret"}),
    },
)
def test_error_names_every_problem_and_no_value(model: Model, values: dict[str, Any]) -> None:
    values |= {"user_id": "secret-" * 20, "tags": ["secret", 7]}
    words = refusal(model, **values)
    assert {part.partition(":")[0] for part in words.removesuffix(".").split(". ")} == values.keys()
    assert "user_id: at most 100 characters." in words
    assert "secret" not in words


@models
def test_parameters_of_other_tools_are_ignored(model: Model) -> None:
    assert parse(model, top_k=3, mode=None) == parse(model)
