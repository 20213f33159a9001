"""The engine treats tool nodes as Dify does; expected values are those measured on Dify's own code."""

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.dify_engine import DifyApp, NodeRun
from sandbox.dify_schema import DifyRejects
from sandbox.plugin_process import Invocation, PluginDied, PluginError
from tests.app.apps import ASSISTANT, app_of_one_tool

CREDENTIALS = {"memos_url": "http://memos.example"}


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


def run(
    plugin: Plugin,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    tool: str = "search_memory",
    inputs: Mapping[str, Any] | None = None,
    **node: Any,
) -> NodeRun:
    app = DifyApp(app_of_one_tool(tool, parameters, settings, **node), plugin, CREDENTIALS)
    return app.run(inputs or {}, user_id="ada").nodes["tool"]


def variable(name: str, value: Any) -> dict[str, Any]:
    content = {"variable_name": name, "variable_value": value, "stream": False}
    return {"type": "variable", "message": content, "meta": None}


def given(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "value": value}


FROM_START = given("variable", ["start", "value"])
IN_TEXT = given("mixed", "{{#start.value#}}")


@pytest.mark.parametrize(
    ("parameters", "settings", "inputs", "arrives"),
    [
        # What a model or a variable fills in (form: llm)
        ({}, {}, {}, {}),
        ({"query": given("mixed", None)}, {}, {}, {}),
        ({"query": given("mixed", "")}, {}, {}, {"query": ""}),
        ({"query": FROM_START}, {}, {"value": None}, {"query": ""}),
        ({"query": FROM_START}, {}, {"value": ["a", 1]}, {"query": "['a', 1]"}),
        ({"query": FROM_START}, {}, {"value": {"k": 1}}, {"query": "{'k': 1}"}),
        ({"query": IN_TEXT}, {}, {"value": {"k": 1}}, {"query": '{"k": 1}'}),
        ({"query": IN_TEXT}, {}, {"value": 6}, {"query": "6"}),
        ({"query": IN_TEXT}, {}, {}, {"query": "start.value"}),
        ({"not_declared": given("mixed", "x")}, {}, {}, {"not_declared": None}),
        # Settings (form: form)
        ({}, {"relativity": given("constant", 0.5)}, {}, {"relativity": 0.5}),
        ({}, {"relativity": given("constant", "")}, {}, {"relativity": None}),
        ({}, {"relativity": given("constant", None)}, {}, {}),
        ({}, {"relativity": FROM_START}, {"value": None}, {"relativity": None}),
        ({}, {"relativity": IN_TEXT}, {"value": "0.5"}, {"relativity": 0.5}),
        ({}, {"relativity": given("constant", "5")}, {}, {"relativity": 5}),
        ({}, {"include_skill": given("constant", "")}, {}, {"include_skill": False}),
        ({}, {"include_skill": given("constant", "No")}, {}, {"include_skill": False}),
        ({}, {"include_skill": given("constant", "abc")}, {}, {"include_skill": True}),
        ({}, {"user_id": given("constant", 6)}, {}, {"user_id": "6"}),
        # A setting that stands among the parameters, since it was one when the node was made
        ({"user_id": IN_TEXT}, {}, {"value": "eve"}, {"user_id": "eve"}),
        ({"user_id": IN_TEXT}, {"user_id": given("constant", "bob")}, {"value": "eve"}, {"user_id": "eve"}),
    ],
)
def test_what_reaches_the_plugin(
    parameters: dict[str, Any], settings: dict[str, Any], inputs: dict[str, Any], arrives: dict[str, Any]
) -> None:
    plugin = Plugin()
    node = run(plugin, parameters, settings, inputs=inputs)

    assert node.status == "succeeded"
    [call] = plugin.calls
    assert repr(call["parameters"]) == repr(arrives)


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ([1], [1]),
        ('[{"role": "user"}]', [{"role": "user"}]),
        ("{}", ["{}"]),
        ("not JSON", ["not JSON"]),
        (None, [None]),
        ({"k": 1}, [{"k": 1}]),
    ],
)
def test_what_reaches_an_array(value: Any, arrives: list[Any]) -> None:
    plugin = Plugin()
    run(plugin, {}, {"messages": FROM_START}, tool="add_memory", inputs={"value": value})

    assert plugin.calls[0]["parameters"] == {"messages": arrives}


@pytest.mark.parametrize(
    ("parameters", "settings", "error"),
    [
        ({"query": FROM_START}, {}, "Variable ['start', 'value'] does not exist"),
        ({}, {"user_id": FROM_START}, "Variable ['start', 'value'] does not exist"),
        ({}, {"relativity": given("constant", "much")}, "invalid literal for int() with base 10: 'much'"),
        ({}, {"relativity": given("constant", "1.2.3")}, "could not convert string to float: '1.2.3'"),
    ],
)
def test_what_fails_before_the_plugin(
    parameters: dict[str, Any], settings: dict[str, Any], error: str
) -> None:
    plugin = Plugin()
    node = run(plugin, parameters, settings)

    assert (node.status, plugin.calls) == ("failed", [])
    assert error in node.error


def test_an_optional_variable_that_is_missing_is_left_out() -> None:
    plugin = Plugin()
    run(plugin, {"user_messages": FROM_START}, {}, tool="add_memory")

    assert plugin.calls[0]["parameters"] == {}


def test_a_node_of_an_old_dify_gets_all_settings_and_no_conversation() -> None:
    plugin = Plugin()
    run(plugin, {"query": given("mixed", "x")}, {"memory_limit_number": 3}, tool_node_version=None)

    [call] = plugin.calls
    assert call["parameters"]["memory_limit_number"] == 3
    assert call["parameters"]["include_preference"] is True
    assert call["parameters"]["preference_limit_number"] == 6
    assert (call["parameters"]["user_id"], call["parameters"]["relativity"]) == ("", None)
    assert call["conversation_id"] is None


def test_a_call_carries_credentials_user_and_app() -> None:
    plugin = Plugin()
    app = DifyApp(app_of_one_tool("search_memory", {}, {}), plugin, CREDENTIALS)
    app.run({}, user_id="ada")

    [call] = plugin.calls
    assert (call["tool"], call["credentials"]) == ("search_memory", CREDENTIALS)
    assert (call["user_id"], call["app_id"], call["conversation_id"]) == (app.user("ada"), app.app_id, None)
    assert app.user("ada") not in {"ada", app.user("bob")}


def test_messages_become_outputs() -> None:
    plugin = Plugin(
        {"type": "text", "message": {"text": "a"}, "meta": None},
        {"type": "text", "message": {"text": "b"}, "meta": None},
        {"type": "json", "message": {"json_object": {"n": None}}, "meta": None},
        variable("found", False),
    )
    outputs = run(plugin, {}, {}).outputs

    assert (outputs["text"], outputs["json"], outputs["found"]) == ("ab", [{"n": None}], False)
    assert run(Plugin(), {}, {}).outputs["json"] == [{"data": []}]


def test_an_exception_of_the_plugin_is_worded_as_dify_words_it() -> None:
    error = PluginError("MemosServerError", "MemOS is ill.", {"traceback": "secret"})
    node = run(Plugin(error=error), {}, {}, provider_name="memtensor/memos/memos")

    assert node.status == "failed"
    assert node.error == (
        "An error occurred in the memtensor/memos/memos, please contact the author of memtensor/memos/memos "
        "for help, error type: MemosServerError, error details: MemOS is ill."
    )


def test_an_unknown_tool_fails_its_node() -> None:
    plugin = Plugin()

    assert "forget_all" in run(plugin, {}, {}, tool="forget_all").error
    assert "someone/else/memos" in run(plugin, {}, {}, provider_id="someone/else/memos").error
    assert plugin.calls == []


def test_what_is_retried_is_sent_again() -> None:
    plugin = Plugin(error=PluginError("MemosServerError", "MemOS is ill.", {}))
    run(plugin, {}, {}, retry_config={"retry_enabled": True, "max_retries": 2, "retry_interval": 1})

    assert len(plugin.calls) == 3


@pytest.mark.parametrize("fault", [PluginDied("gone"), DifyRejects("null"), TimeoutError("late")])
def test_no_error_strategy_hides_a_broken_plugin(fault: Exception) -> None:
    app = DifyApp(ASSISTANT.read_text(), Plugin(error=fault), CREDENTIALS)

    with pytest.raises(type(fault), match=str(fault)):
        app.chat("Hello", user_id="ada")


def test_a_run_that_fails_says_why() -> None:
    plugin = Plugin(error=PluginError("MemosServerError", "MemOS is ill.", {}))
    app = DifyApp(app_of_one_tool("search_memory", {}, {}), plugin, CREDENTIALS)
    run = app.run({}, user_id="ada")

    assert (run.status, run.outputs, run.answer) == ("failed", {}, "")
    assert "MemOS is ill." in run.error


def test_a_model_that_fails_ends_the_run_without_an_answer() -> None:
    def broken(_: Any) -> str:
        raise OSError("no model")

    app = DifyApp(ASSISTANT.read_text(), Plugin(variable("memory_context", "")), CREDENTIALS, model=broken)
    run = app.chat("Hello", user_id="ada")

    assert (run.status, run.answer) == ("failed", "")
    assert run.nodes["LLM"].error == "no model"
    assert "Add Memory" not in run.nodes
