"""The engine treats tool nodes as Dify does; expected values are those measured on Dify's own code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.dify_engine import DifyApp, Run
from sandbox.dify_schema import DifyRejects
from sandbox.plugin_process import Invocation, PluginDied, PluginError
from tests.app.apps import ASSISTANT, app_of_one_tool

CREDENTIALS = {"memos_url": "http://memos.example"}
PARAMETERS = {
    "text": {"type": "string", "form": "llm", "required": True},
    "more": {"type": "string", "form": "llm"},
    "name": {"type": "string", "form": "form"},
    "number": {"type": "number", "form": "form"},
    "limit": {"type": "number", "form": "form", "default": 6},
    "switch": {"type": "boolean", "form": "form", "default": True},
    "choice": {"type": "select", "form": "form", "options": [{"value": "a"}, {"value": "b"}]},
    "list": {"type": "array", "form": "llm"},
    "map": {"type": "object", "form": "llm"},
}
ILL = PluginError("MemosServerError", "MemOS is ill.", {"traceback": "secret"})


class Plugin:
    """Records what reaches it, and answers what it was told to answer."""

    def __init__(self, *messages: dict[str, Any], error: PluginError | Exception | None = None) -> None:
        self.messages = list(messages)
        self.error = error
        self.calls: list[dict[str, Any]] = []

    def invoke(
        self, tool: str, parameters: Mapping[str, Any], credentials: Any, **context: Any
    ) -> Invocation:
        self.calls.append({"tool": tool, "parameters": parameters, "credentials": credentials, **context})
        if isinstance(self.error, Exception):
            raise self.error
        return Invocation(self.messages, self.error, 0.0)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plugin that declares one tool with parameters of every type (JSON is YAML, too)."""
    root = tmp_path_factory.mktemp("declared")
    tool = {
        "identity": {"name": "tool"},
        "parameters": [{"name": name, **declared} for name, declared in PARAMETERS.items()],
    }
    provider = {"identity": {"name": "memos"}, "tools": ["tool.yaml"]}
    manifest = {"author": "memtensor", "name": "memos", "plugins": {"tools": ["provider.yaml"]}}
    for name, content in (("tool", tool), ("provider", provider), ("manifest", manifest)):
        (root / f"{name}.yaml").write_text(json.dumps(content))
    return root


def run(
    root: Path,
    plugin: Plugin,
    parameters: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    **node: Any,
) -> Run:
    dsl = app_of_one_tool(node.pop("tool", "tool"), parameters or {}, settings or {}, **node)
    return DifyApp(dsl, plugin, CREDENTIALS, root=root).run(inputs or {}, user_id="ada")


def given(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "value": value}


FROM_START = given("variable", ["start", "value"])
IN_TEXT = given("mixed", "{{#start.value#}}")


@pytest.mark.parametrize(
    ("parameters", "settings", "inputs", "arrives"),
    [
        # What a model or a variable fills in (form: llm)
        ({}, {}, {}, {}),
        ({"text": given("mixed", None)}, {}, {}, {}),
        ({"text": given("mixed", "")}, {}, {}, {"text": ""}),
        ({"text": FROM_START}, {}, {"value": None}, {"text": ""}),
        ({"text": FROM_START}, {}, {"value": ["a", 1]}, {"text": "['a', 1]"}),
        ({"text": FROM_START}, {}, {"value": {"k": 1}}, {"text": "{'k': 1}"}),
        ({"text": IN_TEXT}, {}, {"value": {"k": 1}}, {"text": '{"k": 1}'}),
        ({"text": IN_TEXT}, {}, {"value": 6}, {"text": "6"}),
        ({"text": IN_TEXT}, {}, {}, {"text": "start.value"}),
        ({"more": FROM_START}, {}, {}, {}),
        ({"not_declared": given("mixed", "x")}, {}, {}, {"not_declared": None}),
        # Settings (form: form)
        ({}, {"number": given("constant", 0.5)}, {}, {"number": 0.5}),
        ({}, {"number": given("constant", "")}, {}, {"number": None}),
        ({}, {"number": given("constant", None)}, {}, {}),
        ({}, {"number": FROM_START}, {"value": None}, {"number": None}),
        ({}, {"number": IN_TEXT}, {"value": "0.5"}, {"number": 0.5}),
        ({}, {"number": given("constant", "5")}, {}, {"number": 5}),
        ({}, {"switch": given("constant", "")}, {}, {"switch": False}),
        ({}, {"switch": given("constant", "No")}, {}, {"switch": False}),
        ({}, {"switch": given("constant", "abc")}, {}, {"switch": True}),
        ({}, {"choice": given("constant", "c")}, {}, {"choice": "c"}),
        ({}, {"name": given("constant", 6)}, {}, {"name": "6"}),
        # A setting that stands among the parameters, since it was one when the node was made
        ({"name": IN_TEXT}, {}, {"value": "eve"}, {"name": "eve"}),
        ({"name": IN_TEXT}, {"name": given("constant", "bob")}, {"value": "eve"}, {"name": "eve"}),
        # Arrays and objects
        *(
            ({"list": FROM_START}, {}, {"value": value}, {"list": arrives})
            for value, arrives in [
                ([1], [1]),
                ('[{"role": "user"}]', [{"role": "user"}]),
                ("{}", ["{}"]),
                ("not JSON", ["not JSON"]),
                (None, [None]),
                ({"k": 1}, [{"k": 1}]),
            ]
        ),
        ({"map": FROM_START}, {}, {"value": '{"k": 1}'}, {"map": {"k": 1}}),
        ({"map": FROM_START}, {}, {"value": "[1]"}, {"map": {}}),
    ],
)
def test_what_reaches_the_plugin(
    root: Path,
    parameters: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, Any],
    arrives: dict[str, Any],
) -> None:
    plugin = Plugin()

    assert run(root, plugin, parameters, settings, inputs).status == "succeeded"
    [call] = plugin.calls
    assert repr(call["parameters"]) == repr(arrives)


@pytest.mark.parametrize(
    ("parameters", "settings", "node", "error"),
    [
        ({"text": FROM_START}, {}, {}, "Variable ['start', 'value'] does not exist"),
        ({}, {"name": FROM_START}, {}, "Variable ['start', 'value'] does not exist"),
        ({}, {"number": given("constant", "much")}, {}, "invalid literal for int() with base 10: 'much'"),
        ({}, {"number": given("constant", "1.2.3")}, {}, "could not convert string to float: '1.2.3'"),
        ({}, {"choice": "c"}, {"tool_node_version": None}, "value c not in options ['a', 'b']"),
        ({}, {}, {"tool": "forget_all"}, "no tool forget_all"),
        ({}, {}, {"provider_id": "someone/else/memos"}, "of provider someone/else/memos"),
    ],
)
def test_what_fails_before_the_plugin(
    root: Path, parameters: dict[str, Any], settings: dict[str, Any], node: dict[str, Any], error: str
) -> None:
    plugin = Plugin()
    failed = run(root, plugin, parameters, settings, **node)

    assert (failed.status, failed.outputs, failed.answer, plugin.calls) == ("failed", {}, "", [])
    assert error in failed.nodes["tool"].error
    assert error in failed.error


def test_a_node_of_an_old_dify_gets_all_settings_and_no_conversation(root: Path) -> None:
    plugin = Plugin()
    run(root, plugin, {"text": given("mixed", "x")}, {"limit": 3}, tool_node_version=None)

    [call] = plugin.calls
    assert call["parameters"] == {
        "text": "x",
        "name": "",
        "number": None,
        "limit": 3,
        "switch": True,
        "choice": "",
    }
    assert call["conversation_id"] is None


def test_a_call_carries_credentials_user_conversation_and_app() -> None:
    plugin = Plugin()
    app = DifyApp(ASSISTANT.read_text(), plugin, CREDENTIALS)
    run = app.chat("Hello!", user_id="ada")

    call = plugin.calls[0]
    assert (call["tool"], call["credentials"]) == ("search_memory", CREDENTIALS)
    assert (call["user_id"], call["app_id"]) == (app.user("ada"), app.app_id)
    assert call["conversation_id"] == run.conversation_id
    assert app.user("ada") not in {"ada", app.user("bob")}


def test_messages_become_outputs(root: Path) -> None:
    found = {"variable_name": "found", "variable_value": False, "stream": False}
    plugin = Plugin(
        {"type": "text", "message": {"text": "a"}, "meta": None},
        {"type": "text", "message": {"text": "b"}, "meta": None},
        {"type": "json", "message": {"json_object": {"n": None}}, "meta": None},
        {"type": "variable", "message": found, "meta": None},
    )
    outputs = run(root, plugin).nodes["tool"].outputs

    assert (outputs["text"], outputs["json"], outputs["found"]) == ("ab", [{"n": None}], False)
    assert run(root, Plugin()).nodes["tool"].outputs["json"] == [{"data": []}]


def test_an_exception_of_the_plugin_is_worded_as_dify_words_it(root: Path) -> None:
    failed = run(root, Plugin(error=ILL))

    assert failed.nodes["tool"].status == "failed"
    assert failed.nodes["tool"].error == (
        "An error occurred in the memtensor/memos/memos, please contact the author of memtensor/memos/memos "
        "for help, error type: MemosServerError, error details: MemOS is ill."
    )


def test_what_is_retried_is_sent_again(root: Path) -> None:
    plugin = Plugin(error=ILL)
    run(root, plugin, retry_config={"retry_enabled": True, "max_retries": 2, "retry_interval": 1})

    assert len(plugin.calls) == 3


def test_a_default_value_takes_the_place_of_a_failed_node(root: Path) -> None:
    default = {"key": "text", "type": "string", "value": "none"}
    handled = run(root, Plugin(error=ILL), error_strategy="default-value", default_value=[default])

    assert (handled.status, handled.nodes["tool"].status) == ("partial-succeeded", "exception")
    assert handled.nodes["tool"].outputs["text"] == "none"
    assert "MemOS is ill." in handled.nodes["tool"].error


@pytest.mark.parametrize("fault", [PluginDied("gone"), DifyRejects("null"), TimeoutError("late")])
def test_no_error_strategy_hides_a_broken_plugin(root: Path, fault: Exception) -> None:
    with pytest.raises(type(fault), match=str(fault)):
        run(root, Plugin(error=fault), error_strategy="default-value", default_value=[])
