"""Whatever Dify makes of a field: a clear error, or what somebody gave; never what stands for no value."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from sandbox.dify_engine import DifyApp, cast_value
from sandbox.plugin_process import PluginProcess
from sandbox.scripted_server import ScriptedServer
from tests.app.apps import TOOLS, FakeMemos, app_of_one_tool

NEEDED = {
    "search_memory": {"query": "food"},
    "add_memory": {"user_messages": "I eat no meat.", "ai_messages": "Noted."},
}
"""What each call has besides the fields in question."""
ENTERED = [None, "", "6"]
TEXTS = [" \n", "abc", "1e3", "6.5.4", "[", '{"k":', "\0", "x" * 101, "x" * 100_000]
OTHERS: list[Any] = [
    *(True, False, 0, -1, 3.7, 10**20),
    *([], [None], [""], ["a", 1], {"k": None}, [{"role": "user"}], [["a"]]),
]
CASES: list[tuple[str, dict[str, Any], Any]] = [
    *(("entered", {"type": "constant", "value": value}, value) for value in ENTERED),
    *(("variable", {"type": "variable", "value": ["start", "value"]}, v) for v in ENTERED + TEXTS + OTHERS),
    *(("in a text", {"type": "mixed", "value": "{{#start.value#}}"}, value) for value in OTHERS),
]
"""How a field is filled in, the field in a node, and the value."""
NOT_STORED = {"query", "extract_prompt"}
"""What may look like anything."""
CAST_BY_DIFY = re.compile("invalid literal for int|could not convert string to float")
"""How Dify itself refuses a text for a number."""

NOT_RUN = "{{#1767225699999.text#}}"
"""The output of a node that did not run; Dify's engine writes its name."""
NOBODY = [NOT_RUN, "{{#sys.nothing#}}", "{{#conversation.customer#}}", "{{#env.TENANT#}}-7", "cust-{{user}}"]
"""User IDs that mean everybody, as entered into the field; all others are in tests/unit/test_identity.py."""

continuing = pytest.mark.parametrize("on_error", ["fail", "continue"])


class Outcome(NamedTuple):
    """What came of a call: the error that a user sees, the node's variables, the body that MemOS got."""

    error: str
    variables: Mapping[str, Any]
    body: dict[str, Any]


type Call = Callable[..., Outcome]


def text(template: str) -> dict[str, Any]:
    """A field with what was typed into it."""
    return {"type": "mixed", "value": template}


@pytest.fixture
def call(app_plugin: PluginProcess) -> Iterator[Call]:
    """Calls a tool as a workflow's node does, with fields filled in, and others (None) left empty."""
    with ScriptedServer() as server:
        memos = FakeMemos(server)

        def call(tool: str, fields: Mapping[str, Any], value: Any = None) -> Outcome:
            """`value` is that of the start node's variable of this name."""
            given = {name: text(words) for name, words in NEEDED[tool].items()} | fields
            parts: dict[str, dict[str, Any]] = {"llm": {}, "form": {}}
            for parameter in TOOLS[tool]["parameters"]:
                if field := given.get(parameter["name"]):
                    parts[parameter["form"]][parameter["name"]] = field
            dsl = app_of_one_tool(tool, parts["llm"], parts["form"])
            app = DifyApp(dsl, app_plugin, memos.credentials)
            app.app_id = str(uuid.UUID(int=0))
            server.requests.clear()
            node = app.run({"value": value}, user_id="ada").nodes["tool"]
            bodies = [request.json for request in server.requests]
            assert len(bodies) == (0 if node.error or node.outputs["error"] else 1)
            return Outcome(node.error.rpartition("error details: ")[2], node.outputs, *bodies or [{}])

        yield call


def is_absent(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(is_absent, value))
    return value is None or (isinstance(value, str) and not value.strip())


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for content in value.values() if isinstance(value, dict) else value:
            yield from texts(content)


def sent(outcome: Outcome) -> dict[str, Any]:
    """The body, but for a conversation that is another one with each call."""
    fresh = outcome.body.get("conversation_id", "").startswith("dify-")
    return outcome.body | ({"conversation_id": "fresh"} if fresh else {})


@pytest.mark.parametrize(
    ("tool", "parameter"),
    [
        pytest.param(tool, parameter, id=f"{tool}-{parameter['name']}")
        for tool in NEEDED
        for parameter in TOOLS[tool]["parameters"]
    ],
)
def test_every_value_in_every_way(tool: str, parameter: dict[str, Any], call: Call) -> None:
    name = parameter["name"]
    others = dict.fromkeys(NEEDED[tool]) if name == "messages" else {}
    missing = call(tool, others | {name: None})
    for way, field, value in CASES:
        outcome = call(tool, others | {name: field}, value)
        case = f"{way}, {str(value)[:40]!r}: {outcome}"
        if CAST_BY_DIFY.search(outcome.error):
            assert parameter["type"] == "number", case
        elif way != "in a text" and is_absent(cast_value(parameter["type"], value)):
            assert (outcome.error, sent(outcome)) == (missing.error, sent(missing)), case
        elif outcome.error:
            assert name in outcome.error.partition(": ")[0], case
            assert len(outcome.error) < 300, case
            assert not re.search("Traceback|pydantic|Error|None|mpg-test|\n", outcome.error), case
        else:
            # An empty list reads like a text that a user may have typed.
            printed = isinstance(value, list | dict) and value and name not in NOT_STORED
            assert not {"None", repr(value) if printed else "None"} & set(texts(outcome.body)), case
            assert "\0" not in str(outcome.body), case


@continuing
@pytest.mark.parametrize("tool", list(NEEDED))
def test_a_user_id_that_is_nobody_is_refused_by_name(tool: str, on_error: str, call: Call) -> None:
    switch = {"on_error": text(on_error)}
    for entered in NOBODY:
        assert call(tool, {"user_id": text(entered)} | switch).error.startswith("user_id: "), entered
    empty_list = {"type": "variable", "value": ["start", "value"]}
    assert call(tool, {"user_id": empty_list} | switch, []).error.startswith("user_id: ")


@continuing
@pytest.mark.parametrize(
    ("tool", "field", "entered"),
    [
        *(("search_memory", "filter", template) for template in (NOT_RUN, f"food, scene={NOT_RUN}")),
        ("search_memory", "filter", f'{{"and": [{{"scene": "{NOT_RUN}"}}]}}'),
        ("search_memory", "knowledgebase_ids", f"kb-1, {NOT_RUN}"),
        *(("add_memory", "labels", template) for template in (NOT_RUN, f"food, app_id={NOT_RUN}")),
        *(("add_memory", "conversation_id", template) for template in (NOT_RUN, f"c-{NOT_RUN}")),
        ("add_memory", "extract_prompt", NOT_RUN),
    ],
)
def test_a_setting_that_names_no_value_is_refused_by_name(
    tool: str, field: str, entered: str, on_error: str, call: Call
) -> None:
    error = call(tool, {field: text(entered), "on_error": text(on_error)}).error
    assert error == f"{field}: the variable 1767225699999.text has no value in this app."


@pytest.mark.parametrize(
    ("tool", "fields", "error"),
    [
        ("search_memory", {"query": NOT_RUN}, "query: the variable 1767225699999.text has no value"),
        ("search_memory", {"query": "{{#sys.query#}}"}, "query: the variable sys.query has no value"),
        (
            "add_memory",
            dict.fromkeys(NEEDED["add_memory"], NOT_RUN),
            "user_messages, ai_messages: at least one",
        ),
    ],
)
def test_what_was_said_that_names_no_value_is_refused_and_a_chat_goes_on_without_it(
    tool: str, fields: dict[str, str], error: str, call: Call
) -> None:
    given = {name: text(entered) for name, entered in fields.items()}
    assert call(tool, given).error.startswith(error)
    continued = call(tool, given | {"on_error": text("continue")})
    assert continued.error == ""
    assert continued.variables["error"].startswith(error)


@pytest.mark.parametrize(
    ("user", "assistant", "stored"),
    [
        (NOT_RUN, "Noted.", ["Noted."]),
        ("I eat no meat.", f"Noted.{NOT_RUN}", ["I eat no meat.", "Noted."]),
        ("I eat no meat.", "{{#sys.nothing#}}", ["I eat no meat."]),
        ("See {{#start.value#}} and env.gov.", "null", ["See 6 and env.gov."]),
    ],
)
def test_a_message_is_stored_without_what_names_no_value(
    user: str, assistant: str, stored: list[str], call: Call
) -> None:
    outcome = call("add_memory", {"user_messages": text(user), "ai_messages": text(assistant)}, 6)
    assert [message["content"] for message in outcome.body["messages"]] == stored


def test_a_workflow_that_hands_over_the_conversation_it_has_not_gets_a_fresh_one(call: Call) -> None:
    outcome = call("add_memory", {"conversation_id": text("{{#sys.conversation_id#}}")})
    assert re.fullmatch(r"dify-[0-9a-f-]{36}", outcome.body["conversation_id"])
