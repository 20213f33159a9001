"""Dify's four kinds of agent, as they were seen: what a model is sent of a tool, and what it reads back."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.plugin_process import REPOSITORY

LANGUAGES = ("en_US", "zh_Hans", "ja_JP", "pt_BR")
TOOLS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted(Path(REPOSITORY, "tools").glob("*.yaml"))
}
"""The tools' declarations, by name."""
FOR_AGENTS = ("recall", "remember", "forget")


def sent(tool: str, language: str) -> dict[str, Any]:
    """What a model is sent of a tool.

    Args:
        tool: Its name.
        language: The builder's, as in Agent nodes, which send the human description; or "llm", as in classic
            Agent apps, in the new Agent, and in Agent nodes whose description field was emptied.
    """
    declared = TOOLS[tool]
    description = declared["description"]
    asked = [parameter for parameter in declared["parameters"] if parameter["form"] == "llm"]
    return {
        "name": declared["identity"]["name"],
        "description": description["llm"] if language == "llm" else description["human"][language],
        "parameters": {
            "type": "object",
            "properties": {
                one["name"]: {"type": one["type"], "description": one["llm_description"]} for one in asked
            },
            "required": [one["name"] for one in asked if one["required"]],
        },
    }


type _Message = Mapping[str, Any]


def _fields(content: _Message, separator: str) -> str:
    return separator.join(f"{name}={value!r}" for name, value in content.items())


def _json(content: _Message) -> str:
    return json.dumps(content["json_object"], ensure_ascii=False)


def _nothing(_: _Message) -> str:
    return ""


@dataclass(frozen=True)
class Agent:
    """One kind of agent.

    Args:
        name: What Dify calls it.
        model_wins: Whether a model's arguments replace a builder's values; else only what the tool does not
            declare arrives, and all that is declared is the builder's, even when empty.
        variable: How it writes a variable for the model.
        json: How it writes JSON for the model.
        json_last: Whether that stands behind all else.
    """

    name: str
    model_wins: bool
    variable: Callable[[_Message], str]
    json: Callable[[_Message], str]
    json_last: bool = False

    def merged(self, tool: str, builders: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with which the tool is called."""
        if self.model_wins:
            return {**builders, **models}
        settings = [one["name"] for one in TOOLS[tool]["parameters"] if one["form"] == "form"]
        return {**models, **dict.fromkeys(settings), **builders}

    def read(self, messages: Iterable[Mapping[str, Any]]) -> str:
        """What the model reads of a tool's messages."""
        write = {"text": lambda content: content["text"], "variable": self.variable, "json": self.json}
        ordered = sorted(messages, key=lambda one: self.json_last and one["type"] == "json")
        return "".join(write[one["type"]](one["message"]) for one in ordered)


def _answered(write: Callable[[_Message], str]) -> Callable[[_Message], str]:
    return lambda content: f"tool response: {write(content)}."


AGENTS = (
    # To Dify 1.13; on 1.15, it leaves out variables as the new Agent does.
    Agent(
        "classic Agent app",
        model_wins=False,
        variable=lambda content: _fields(content, " "),
        json=_json,
        json_last=True,
    ),
    Agent(
        "Agent node, strategies up to 0.0.41",
        model_wins=True,
        variable=_answered(lambda content: f"VariableMessage({_fields(content, ', ')})"),
        json=_answered(_json),
    ),
    Agent("Agent node", model_wins=True, variable=_nothing, json=_answered(_json)),
    Agent("new Agent", model_wins=True, variable=_nothing, json=_json, json_last=True),
)
