"""Whatever Dify makes of a parameter: a clear error or the default, and nothing stored that nobody said.

The matrix is made from the tools' declarations: each parameter, filled in each of Dify's ways, with values of
every kind.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from sandbox.dify_engine import DifyApp, cast_value
from sandbox.plugin_process import REPOSITORY, PluginProcess
from sandbox.scripted_server import ScriptedServer
from tests.app.apps import CLOUD, DIALECTS, Dialect, FakeMemos, app_of_one_tool

TOOLS: dict[str, list[dict[str, Any]]] = {
    path.stem: yaml.safe_load(path.read_text())["parameters"]
    for path in sorted((REPOSITORY / "tools").glob("*.yaml"))
}
PARAMETERS = [
    pytest.param(tool, parameter, id=f"{tool}-{parameter['name']}")
    for tool, parameters in TOOLS.items()
    for parameter in parameters
]

APP_ID = str(uuid.UUID(int=0))
USER_ID = "ada"

NEEDED = {
    "search_memory": {"query": "food"},
    "add_memory": {"user_messages": "I eat no meat.", "ai_messages": "Noted."},
}
"""What each call has besides the parameter in question."""
INSTEAD = {"messages": {"user_messages", "ai_messages"}}
"""What a parameter takes the place of."""

VALUES: list[Any] = [
    *(None, "", " \n", [], [None], [""]),
    *(["a", 1], {"k": None}, [{"role": "user"}], [["a"]]),
    *(True, False, 0, -1, 3.7, 10**20),
    *("abc", "1e3", "6.5.4", "[", '{"k":', "2026-13-01", "\0", "{{#sys.user_id#}}", "x" * 101, "x" * 100_000),
]
ENTERED: list[Any] = [None, "", 0, 10**20, True, "6", "abc", "{{#sys.user_id#}}"]
"""What can be entered into a form; a form's text takes the same way as a variable's."""
NOT_STORED = {"query"}
"""What may look like anything: it is searched for as it is."""
CAST_BY_DIFY = re.compile("invalid literal for int|could not convert string to float")
"""How Dify itself refuses a text for a number."""


@dataclass(frozen=True)
class Outcome:
    """What came of a call: the error that a user sees, or the body that MemOS got."""

    error: str
    body: Mapping[str, Any] | None


class Caller:
    """Calls a tool in each of Dify's ways, with one parameter filled in."""

    def __init__(
        self, plugin: PluginProcess, memos: FakeMemos, tool: str, parameter: Mapping[str, Any]
    ) -> None:
        self._plugin = plugin
        self._memos = memos
        self._tool = tool
        self._name = parameter["name"]
        self._type = parameter["type"]
        self._group = "settings" if parameter["form"] == "form" else "parameters"
        left_out = {self._name} | INSTEAD.get(self._name, set())
        self._needed = {name: value for name, value in NEEDED[tool].items() if name not in left_out}

    def by_variable(self, value: Any) -> Outcome:
        """A variable in the field of a node."""
        return self._by_node({self._name: {"type": "variable", "value": ["start", "value"]}}, value)

    def by_text(self, value: Any) -> Outcome:
        """A variable within the text of a field."""
        return self._by_node({self._name: {"type": "mixed", "value": "{{#start.value#}}"}}, value)

    def by_hand(self, value: Any) -> Outcome:
        """What the builder entered; null means that the field was left alone."""
        return self._by_node({self._name: {"type": "constant", "value": value}}, None)

    def by_old_node(self, value: Any) -> Outcome:
        """The same in a node of an old Dify."""
        filled = {self._name: value} if self._group == "settings" and value is not None else {}
        return self._by_node(filled, None, tool_node_version=None)

    def by_model(self, value: Any) -> Outcome:
        """What an agent's model wrote, or its builder."""
        try:
            return self.without_node({self._name: cast_value(self._type, value)})
        except ValueError as error:
            return Outcome(str(error), None)

    def missing(self) -> Outcome:
        """The parameter was never filled in."""
        return self.without_node({})

    def without_node(self, values: Mapping[str, Any]) -> Outcome:
        user = str(uuid.uuid5(uuid.UUID(APP_ID), USER_ID))
        self._memos.server.requests.clear()
        invocation = self._plugin.invoke(
            self._tool, {**self._needed, **values}, self._memos.credentials, user_id=user, app_id=APP_ID
        )
        return self._outcome(invocation.error.message if invocation.error else "")

    def _by_node(self, filled: Mapping[str, Any], value: Any, **node: Any) -> Outcome:
        parameters = {name: {"type": "mixed", "value": text} for name, text in self._needed.items()}
        settings = filled if self._group == "settings" else {}
        parameters |= filled if self._group == "parameters" else {}
        app = DifyApp(
            app_of_one_tool(self._tool, parameters, settings, **node), self._plugin, self._memos.credentials
        )
        app.app_id = APP_ID
        self._memos.server.requests.clear()
        run = app.run({"value": value}, user_id=USER_ID)
        return self._outcome(run.nodes["tool"].error.rpartition("error details: ")[2])

    def _outcome(self, error: str) -> Outcome:
        bodies = [request.json for request in self._memos.server.requests]
        assert len(bodies) == (0 if error else 1), error
        for body in bodies:
            body.pop("task_id", None)  # another one with each call
        return Outcome(error, bodies[0] if bodies else None)


@pytest.fixture
def cloud() -> Iterator[FakeMemos]:
    with ScriptedServer() as server:
        yield FakeMemos(server, CLOUD)


def is_blank(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(is_blank, value))
    return value is None or (isinstance(value, str) and not value.strip())


def is_too_much(parameter: Mapping[str, Any], value: Any) -> bool:
    """Whether a value is beyond the limits that the form tells."""
    if parameter["type"] == "number" and type(value) in {int, float}:
        return not parameter.get("min", value) <= value <= parameter.get("max", value)
    limit = "At most 100 characters" in parameter["human_description"]["en_US"]
    return limit and isinstance(value, str) and len(value) > 100


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for content in value.values():
            yield from texts(content)
    elif isinstance(value, list):
        for content in value:
            yield from texts(content)


def check(parameter: Mapping[str, Any], value: Any, outcome: Outcome) -> None:
    if CAST_BY_DIFY.search(outcome.error):
        assert parameter["type"] == "number"
    elif outcome.error:
        assert parameter["name"] in outcome.error.partition(". ")[0]
        assert len(outcome.error) < 300
        for word in ("Traceback", "pydantic", "Error", "None", "mpg-test", "\n"):
            assert word not in outcome.error
    else:
        assert not is_too_much(parameter, value)
        for text in texts(outcome.body):
            assert "\0" not in text
            assert text != "None"
            # An empty list reads like a text that a user may have typed.
            if isinstance(value, list | dict) and value and parameter["name"] not in NOT_STORED:
                assert text != repr(value)


@pytest.mark.parametrize(("tool", "parameter"), PARAMETERS)
def test_every_value_in_every_way(
    tool: str, parameter: dict[str, Any], app_plugin: PluginProcess, cloud: FakeMemos
) -> None:
    caller = Caller(app_plugin, cloud, tool, parameter)
    missing = caller.missing()
    ways = {
        caller.by_variable: VALUES,
        caller.by_text: [value for value in VALUES if not isinstance(value, str)],
        caller.by_hand: ENTERED,
        caller.by_old_node: ENTERED,
        caller.by_model: VALUES,
    }
    for way, values in ways.items():
        for value in values:
            outcome = way(value)
            try:
                check(parameter, value, outcome)
                if way in (caller.by_hand, caller.by_old_node):
                    assert value is not None or outcome == missing
                elif way != caller.by_text and not CAST_BY_DIFY.search(outcome.error):
                    assert not is_blank(cast_value(parameter["type"], value)) or outcome == missing
            except AssertionError as error:
                raise AssertionError(f"{way.__name__}({str(value)[:40]!r}): {error}") from None


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(("tool", "parameter"), PARAMETERS)
def test_every_value_in_both_dialects(
    tool: str, parameter: dict[str, Any], dialect: Dialect, app_plugin: PluginProcess
) -> None:
    with ScriptedServer() as server:
        caller = Caller(app_plugin, FakeMemos(server, dialect), tool, parameter)
        for value in VALUES:
            check(parameter, value, caller.by_model(value))


@pytest.mark.parametrize(
    ("tool", "name", "value", "field", "sent"),
    [
        ("search_memory", "memory_limit_number", "6", "memory_limit_number", 6),
        ("search_memory", "memory_limit_number", "7.0", "memory_limit_number", 7),
        ("search_memory", "relativity", "0.25", "relativity", 0.25),
        ("search_memory", "include_skill", "yes", "include_skill", True),
        ("search_memory", "user_id", 42, "user_id", "42"),
        ("search_memory", "filter", '{"and": [{"tags": "x"}]}', "filter", {"and": [{"tags": "x"}]}),
        ("add_memory", "tags", "a, b", "tags", ["a", "b"]),
        ("add_memory", "info", '{"scene": "chat"}', "info", {"scene": "chat"}),
        (
            "add_memory",
            "messages",
            '[{"role": "user", "content": "hi"}]',
            "messages",
            [{"role": "user", "content": "hi"}],
        ),
        (
            "add_memory",
            "messages",
            [{"role": "user", "content": "hi"}],
            "messages",
            [{"role": "user", "content": "hi"}],
        ),
        (
            "add_memory",
            "user_messages",
            6,
            "messages",
            [{"role": "user", "content": "6"}, {"role": "assistant", "content": "Noted."}],
        ),
    ],
)
def test_a_value_of_another_type_is_read_where_its_meaning_is_clear(
    tool: str,
    name: str,
    value: Any,
    field: str,
    sent: Any,
    app_plugin: PluginProcess,
    cloud: FakeMemos,
) -> None:
    [parameter] = [parameter for parameter in TOOLS[tool] if parameter["name"] == name]
    caller = Caller(app_plugin, cloud, tool, parameter)

    for way in (caller.by_variable, caller.by_model):
        outcome = way(value)
        assert outcome.body is not None, outcome.error
        assert repr(outcome.body[field]) == repr(sent)
