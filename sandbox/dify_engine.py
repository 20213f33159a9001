"""Runs a Dify app with Dify's own workflow engine, and the plugin's process behind its tool nodes.

The engine is langgenius/graphon; Dify's API is built around it. What that API adds to a tool node is done
here, in the same way: it reads the node's settings, casts what the tool declares, hands user, conversation
and app to the plugin, and words the plugin's errors. Sources, in langgenius/dify:
`core/tools/tool_manager.py` (`_convert_tool_parameters_type`), `core/tools/__base/tool.py`,
`core/plugin/entities/parameters.py` and `core/workflow/node_runtime.py`.
"""

import json
import logging
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import yaml
from graphon import engine_events as events
from graphon.dsl import importer
from graphon.dsl.node_factory import SlimDslNodeFactory
from graphon.engine import Engine
from graphon.enums import NodeExecutionType
from graphon.model_runtime.entities.llm_entities import LLMResultChunk, LLMResultChunkDelta, LLMUsage
from graphon.model_runtime.entities.message_entities import (
    AssistantPromptMessage,
    PromptMessage,
    UserPromptMessage,
)
from graphon.model_runtime.entities.model_entities import AIModelEntity
from graphon.nodes.base.node import Node
from graphon.nodes.tool.entities import ToolNodeData
from graphon.nodes.tool.exc import ToolParameterError, ToolRuntimeInvocationError, ToolRuntimeResolutionError
from graphon.nodes.tool_runtime_entities import ToolRuntimeHandle, ToolRuntimeMessage, ToolRuntimeParameter
from graphon.variables.template_resolution import convert_template

from sandbox.chat_model import ChatModel, repeat_memories
from sandbox.dify_schema import DifyRejects
from sandbox.plugin_process import REPOSITORY, PluginDied, PluginProcess

type CodeRunner = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Runs the `main` of a code node's source with the node's variables, and returns the node's outputs."""

# The engine also logs what its events already tell.
logging.getLogger("graphon").addHandler(logging.NullHandler())
logging.getLogger("graphon").propagate = False


@dataclass(frozen=True)
class NodeRun:
    """How one node ended: "succeeded", "failed", or "exception", which is a failure that the app handles."""

    status: str
    outputs: Mapping[str, Any]
    error: str
    prompt: Sequence[Mapping[str, str]]
    """The messages that an LLM node sent, `{"role": …, "content": …}`; of other nodes empty."""


@dataclass(frozen=True)
class Run:
    """How a run ended: "succeeded", "partial-succeeded" (the app handled a node's failure) or "failed"."""

    status: str
    error: str
    answer: str
    """What the user of a chatflow has seen, even if the run failed afterwards."""
    outputs: Mapping[str, Any]
    nodes: Mapping[str, NodeRun]
    """The nodes that ran, by title, in the order in which they ended."""
    conversation_id: str


class DifyApp:
    """An app as it is after its import into Dify; it remembers its conversations as Dify does.

    Args:
        dsl: the app in YAML, as Dify exports it.
        plugin: the running plugin.
        credentials: the plugin's, as Dify keeps them.
        model: answers the LLM nodes.
        run_code: runs the code nodes, if the app has some.
        root: the folder of the plugin.
    """

    def __init__(
        self,
        dsl: str,
        plugin: PluginProcess,
        credentials: Mapping[str, Any],
        *,
        model: ChatModel = repeat_memories,
        run_code: CodeRunner | None = None,
        root: Path = REPOSITORY,
    ) -> None:
        self.dsl = dsl
        self.plugin = plugin
        self.credentials = credentials
        self.model = model
        self.run_code = run_code
        self.app_id = str(uuid.uuid4())
        self.tools = read_tools(root)
        self._histories: dict[str, list[tuple[str, str]]] = {}
        self._variables: dict[str, dict[str, Any]] = {}

    def user(self, user_id: str) -> str:
        """What plugins get for the user that callers of this app, and `sys.user_id`, call so."""
        return str(uuid.uuid5(uuid.UUID(self.app_id), user_id))

    def chat(self, query: str, *, user_id: str, conversation_id: str | None = None) -> Run:
        """Send a message to a chatflow; without a conversation, it begins a new one.

        Raises:
            graphon.dsl.errors.DslError: the app can't be loaded.
            DifyRejects: Dify would not take a message of the plugin.
            PluginDied, TimeoutError: the plugin ended, or didn't answer.
        """
        conversation_id = conversation_id or str(uuid.uuid4())
        history = self._histories.setdefault(conversation_id, [])
        system = {"query": query, "conversation_id": conversation_id, "dialogue_count": len(history) + 1}
        run = self._run({}, system, user_id)
        if run.answer and run.status != "failed":
            history.append((query, run.answer))
        return run

    def run(self, inputs: Mapping[str, Any], *, user_id: str) -> Run:
        """Run a workflow, which knows no conversation; see `chat` for what it raises."""
        return self._run(inputs, {}, user_id)

    def _run(self, inputs: Mapping[str, Any], system: Mapping[str, Any], user_id: str) -> Run:
        conversation_id = system.get("conversation_id", "")
        context = _Context(self, user_id, self._histories.get(conversation_id, []))
        variables = self._variables.setdefault(conversation_id, {}) if conversation_id else {}
        # `loads` takes no factory.
        with patch.object(importer, "SlimDslNodeFactory", partial(_NodeFactory, context=context)):
            engine = importer.loads(
                self._dsl_of(variables),
                run_context={**system, "user_id": user_id, "app_id": self.app_id},
                start_inputs=inputs,
            )
        run = _follow(engine, conversation_id, variables)
        if context.fault:
            raise context.fault
        return run

    def _dsl_of(self, variables: Mapping[str, Any]) -> str:
        """The app with the values that a conversation's variables have by now."""
        if not variables:
            return self.dsl
        app = yaml.safe_load(self.dsl)
        for variable in app["workflow"]["conversation_variables"]:
            variable["value"] = variables.get(variable["name"], variable["value"])
        return yaml.safe_dump(app, allow_unicode=True)


@dataclass
class _Context:
    """What belongs to one run of an app."""

    app: DifyApp
    user_id: str
    history: Sequence[tuple[str, str]]
    fault: Exception | None = None
    """What went wrong outside the app, so that no error strategy may hide it."""


@dataclass
class _NodeFactory(SlimDslNodeFactory):
    """The engine's own factory, but for what stands behind tool, LLM and code nodes."""

    context: _Context

    def validate_node(self, node_config: Mapping[str, Any]) -> NodeExecutionType:
        """Accept every node: Dify, too, opens apps whose plugins or models a workspace lacks."""
        return Node.get_node_type_classes_mapping()[node_config["data"].type]["latest"].execution_type

    def _create_tool_runtime(self, node_data: ToolNodeData) -> Any:
        return _ToolRuntime(self.context, node_data)

    def _create_slim_llm_runtime(self, *, data: Mapping[str, Any], **_: Any) -> Any:
        model = data["model"]
        return dict(data), _LanguageModel(self.context.app.model, model["provider"], model["name"])

    def _create_llm_node(self, request: Any) -> Any:
        node: Any = super()._create_llm_node(request)
        if self.context.history:
            node._memory = _History(self.context.history)  # noqa: SLF001 - the base class gives it none
        return node

    def _create_code_node(self, request: Any) -> Any:
        node: Any = super()._create_code_node(request)
        if run_code := self.context.app.run_code:
            node._code_executor = SimpleNamespace(  # noqa: SLF001 - as above
                execute=lambda *, code, inputs, **_: run_code(code, inputs),
                is_execution_error=lambda _: True,  # whatever the code raises fails its node
            )
        return node

    NODE_BUILDERS = {  # noqa: RUF012 - a ClassVar of the base class
        **SlimDslNodeFactory.NODE_BUILDERS,
        "llm": _create_llm_node,
        "code": _create_code_node,
    }


class _ToolRuntime:
    """What Dify's API has between the engine's tool node and the plugin (`DifyToolNodeRuntime`)."""

    def __init__(self, context: _Context, node: ToolNodeData) -> None:
        self._context = context
        self._node = node
        self._parameters = context.app.tools.get((node.provider_id, node.tool_name))

    def get_runtime(self, *, variable_pool: Any, **_: Any) -> ToolRuntimeHandle:
        node = self._node
        if self._parameters is None:
            raise ToolRuntimeResolutionError(f"no tool {node.tool_name} of provider {node.provider_id}")
        # Parameters that have become settings since the node was made are still found among the parameters.
        configured = node.tool_configurations | {
            name: value.model_dump() for name, value in node.tool_parameters.items()
        }
        try:
            self._settings = dict(_settings(self._parameters, configured, variable_pool))
        except ToolParameterError:
            raise
        except ValueError as error:
            raise ToolRuntimeResolutionError(str(error)) from error
        # A node of the old form (no tool_node_version) is given no variables, and so no conversation either.
        found = variable_pool.get(["sys", "conversation_id"]) if variable_pool else None
        self._conversation_id = found and found.text
        return ToolRuntimeHandle(raw=None)

    def get_runtime_parameters(self, **_: Any) -> list[ToolRuntimeParameter]:
        return [
            ToolRuntimeParameter(name=parameter["name"], required=parameter.get("required", False))
            for parameter in self._parameters or []
        ]

    def invoke(
        self, *, tool_parameters: Mapping[str, Any], provider_name: str, **_: Any
    ) -> Generator[ToolRuntimeMessage, None, None]:
        app = self._context.app
        # What the node sets wins over what comes through the engine.
        values = {**tool_parameters, **self._settings}
        try:
            for parameter in self._parameters or []:
                if parameter["name"] in values:
                    values[parameter["name"]] = cast_value(parameter["type"], values[parameter["name"]])
        except ValueError as error:
            raise ToolRuntimeInvocationError(str(error)) from error
        try:
            invocation = app.plugin.invoke(
                self._node.tool_name,
                values,
                app.credentials,
                user_id=app.user(self._context.user_id),
                conversation_id=self._conversation_id,
                app_id=app.app_id,
                timeout=180,
            )
        except (DifyRejects, PluginDied, TimeoutError) as fault:
            self._context.fault = fault
            raise
        for message in invocation.messages:
            yield ToolRuntimeMessage.model_validate(message)
        if invocation.error:
            raise ToolRuntimeInvocationError(
                f"An error occurred in the {provider_name}, please contact the author of {provider_name} "
                f"for help, error type: {invocation.error.error_type}, "
                f"error details: {invocation.error.message}"
            )

    def get_usage(self, **_: Any) -> LLMUsage:
        return LLMUsage.empty_usage()


@cache
def read_tools(root: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The declared parameters of the plugin's tools, by provider (`author/plugin/provider`) and tool."""
    manifest = yaml.safe_load((root / "manifest.yaml").read_text())
    tools = {}
    for path in manifest["plugins"]["tools"]:
        provider = yaml.safe_load((root / path).read_text())
        provider_id = f"{manifest['author']}/{manifest['name']}/{provider['identity']['name']}"
        for tool_path in provider["tools"]:
            tool = yaml.safe_load((root / tool_path).read_text())
            tools[provider_id, tool["identity"]["name"]] = tool.get("parameters", [])
    return tools


def _settings(
    parameters: Sequence[Mapping[str, Any]], configured: Mapping[str, Any], variable_pool: Any
) -> Iterator[tuple[str, Any]]:
    """The values of the parameters of form "form" that the node gives; an old node gives all of them."""
    for parameter in parameters:
        name = parameter["name"]
        value = configured.get(name)
        if parameter["form"] != "form":
            continue
        if not variable_pool:
            yield name, _value_of_old_node(parameter, value)
        elif isinstance(value, Mapping) and value.get("value") is not None:
            yield name, _setting(value, variable_pool)


def _setting(given: Mapping[str, Any], variable_pool: Any) -> Any:
    match given:
        case {"type": "constant", "value": value}:
            return value
        case {"type": "mixed", "value": template}:
            return convert_template(variable_pool, str(template)).text
        case {"type": "variable", "value": selector}:
            variable = variable_pool.get(selector)
            if variable is None:
                raise ToolParameterError(f"Variable {selector} does not exist")
            return variable.value
        case _:
            raise ToolParameterError(f"Unknown tool input type '{given.get('type')}'")


def _value_of_old_node(parameter: Mapping[str, Any], value: Any) -> Any:
    """A setting of a node without tool_node_version: defaults apply, and options and presence are checked."""
    if not value and value != 0:
        value = parameter.get("default")
        if not value and parameter.get("required"):
            raise ValueError(f"tool parameter {parameter['name']} not found in tool config")
    options = [option["value"] for option in parameter.get("options") or []]
    if parameter["type"] == "select" and value is not None and value not in options:
        raise ValueError(f"tool parameter {parameter['name']} value {value} not in options {options}")
    return cast_value(parameter["type"], value)


def cast_value(kind: str, value: Any) -> Any:
    """Cast a value as Dify does, before the plugin gets it, to the declared type of its parameter.

    Raises:
        ValueError: a text that is no number, for a number.
    """
    match kind:
        case "string" | "secret-input" | "select":
            return "" if value is None else str(value)
        case "boolean":
            falsehoods = ("false", "no", "n", "0")
            return value.lower() not in falsehoods and bool(value) if isinstance(value, str) else bool(value)
        case "number":
            if isinstance(value, str) and value:
                return float(value) if "." in value else int(value)
            return value if isinstance(value, int | float) else None
        case "array":
            read = _read_json(value)
            return value if isinstance(value, list) else read if isinstance(read, list) else [value]
        case "object":
            read = _read_json(value)
            return value if isinstance(value, dict) else read if isinstance(read, dict) else {}
        case _:
            raise NotImplementedError(f"no parameter of this plugin is of type {kind}")


def _read_json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None


@dataclass
class _LanguageModel:
    """A chat model as the engine's LLM node wants it."""

    model: ChatModel
    provider: str
    model_name: str
    stop: Sequence[str] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def get_model_schema(self) -> AIModelEntity:
        return AIModelEntity.model_validate(
            {
                "model": self.model_name,
                "label": {"en_US": self.model_name},
                "model_type": "llm",
                "fetch_from": "predefined-model",
                "model_properties": {"mode": "chat"},
            }
        )

    def invoke_llm(self, *, prompt_messages: Sequence[PromptMessage], **_: Any) -> Iterator[LLMResultChunk]:
        answer = AssistantPromptMessage(content=self.model(_plain(prompt_messages)))
        delta = LLMResultChunkDelta(
            index=0, message=answer, usage=LLMUsage.empty_usage(), finish_reason="stop"
        )
        yield LLMResultChunk(model=self.model_name, prompt_messages=[], delta=delta)


@dataclass(frozen=True)
class _History:
    """The earlier turns of a conversation, for LLM nodes that have their memory switched on.

    At most 500 of them get into a prompt (Dify's `TokenBufferMemory`).
    """

    turns: Sequence[tuple[str, str]]

    def get_history_prompt_messages(
        self, *, message_limit: int | None = None, **_: Any
    ) -> list[PromptMessage]:
        messages: list[PromptMessage] = []
        for query, answer in self.turns[-(message_limit or 500) :]:
            messages += [UserPromptMessage(content=query), AssistantPromptMessage(content=answer)]
        return messages


def _plain(messages: Sequence[PromptMessage]) -> list[dict[str, str]]:
    return [{"role": message.role.value, "content": message.get_text_content()} for message in messages]


def _follow(engine: Engine, conversation_id: str, variables: dict[str, Any]) -> Run:
    """Let the engine run, put together what its events tell, and keep what becomes of `variables`."""
    titles: dict[str, str] = {}
    nodes: dict[str, NodeRun] = {}
    answer = ""
    event: Any = None
    with suppress(RuntimeError):  # it follows the event that tells of the failure
        for event in engine.run():
            match event:
                case events.NodeRunStartedEvent():
                    titles[event.id] = event.node_title
                case events.NodeRunVariableUpdatedEvent(variable=variable):
                    variables[variable.name] = variable.value
                case (
                    events.NodeRunSucceededEvent()
                    | events.NodeRunFailedEvent()
                    | events.NodeRunExceptionEvent()
                ):
                    result = event.node_run_result
                    # The last run of a node counts, and has the last place.
                    nodes.pop(titles[event.id], None)
                    nodes[titles[event.id]] = NodeRun(
                        status=result.status.value,
                        outputs=result.outputs,
                        error=result.error or result.outputs.get("error_message", ""),
                        prompt=_plain(result.process_data.get("prompts", [])),
                    )
                    if event.node_type == "answer":
                        answer += result.outputs["answer"]
    statuses = {
        "GraphRunSucceededEvent": "succeeded",
        "GraphRunPartialSucceededEvent": "partial-succeeded",
        "GraphRunFailedEvent": "failed",
    }
    return Run(
        status=statuses[type(event).__name__],
        error=getattr(event, "error", ""),
        answer=answer,
        outputs=getattr(event, "outputs", {}),
        nodes=nodes,
        conversation_id=conversation_id,
    )
