"""The apps that the tests run, and a MemOS for them that keeps what it is given."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from sandbox.dify_engine import DifyApp, NodeRun, Run
from sandbox.plugin_process import REPOSITORY
from sandbox.scripted_server import Answer, Request, ScriptedServer

ASSISTANT = REPOSITORY / "_assets" / "memory_assistant.yml"
CHINESE_ASSISTANT = REPOSITORY / "_assets" / "memory_assistant_zh_Hans.yml"
WORKFLOW = REPOSITORY / "_assets" / "memory_workflow.yml"
MANAGER = REPOSITORY / "_assets" / "memory_manager.yml"
SHIPPED = (ASSISTANT, CHINESE_ASSISTANT, WORKFLOW, MANAGER)
OF_0_0_4 = Path(__file__).with_name("app_of_0_0_4.yml")
"""In the manner of the apps that were built for version 0.0.4."""

TOOLS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((REPOSITORY / "tools").glob("*.yaml"))
}
"""The tools' declarations, by name."""


def changed(dsl: str, change: Callable[[dict[str, Any]], None]) -> str:
    """The app with a change made to the data of each of its nodes."""
    app = yaml.safe_load(dsl)
    for node in app["workflow"]["graph"]["nodes"]:
        change(node["data"])
    return yaml.safe_dump(app, allow_unicode=True)


def settings(tool: str) -> dict[str, dict[str, Any]]:
    """What Dify's editor writes into a node of this tool, once its panel was opened: all settings there are.

    Each is a row on the node's card.
    """
    return {
        parameter["name"]: {
            "type": "mixed" if parameter["type"] == "string" else "constant",
            "value": parameter.get("default"),
        }
        for parameter in TOOLS[tool]["parameters"]
        if parameter["form"] == "form"
    }


def as_made_by_hand(node: dict[str, Any]) -> None:
    """Make a node what the editor makes of it, where a builder follows README and leaves the rest alone."""
    if node["type"] == "tool":
        node["tool_configurations"] = settings(node["tool_name"]) | node["tool_configurations"]
    elif node["type"] == "llm":
        del node["reasoning_format"]


def app_of_one_tool(
    tool: str, parameters: Mapping[str, Any], settings: Mapping[str, Any], **node: Any
) -> str:
    """A workflow of a start node, a node of a tool, and an end."""
    data = {
        "start": {"type": "start", "title": "start", "variables": []},
        "tool": {
            "type": "tool",
            "title": "tool",
            "provider_id": "memtensor/memos/memos",
            "provider_name": "memtensor/memos/memos",
            "provider_type": "builtin",
            "tool_name": tool,
            "tool_label": tool,
            "tool_parameters": parameters,
            "tool_configurations": settings,
            "tool_node_version": "2",
            **node,
        },
        "end": {"type": "end", "title": "end", "outputs": []},
    }
    graph = {
        "nodes": [{"id": name, "type": "custom", "data": content} for name, content in data.items()],
        "edges": [{"source": "start", "target": "tool"}, {"source": "tool", "target": "end"}],
    }
    return json.dumps(
        {"kind": "app", "version": "0.6.0", "app": {"mode": "workflow"}, "workflow": {"graph": graph}}
    )


def run_code(code: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a code node of a test's app: a stand-in for Dify's sandbox, for code that the tests wrote."""
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 - see above
    return scope["main"](**inputs)


def say(app: DifyApp, message: str, user_id: str) -> Run:
    """Send a message to an app of either mode; in a chatflow, it begins a conversation."""
    if yaml.safe_load(app.dsl)["app"]["mode"] == "workflow":
        return app.run({"message": message}, user_id=user_id)
    return app.chat(message, user_id=user_id)


def answer(run: Run) -> str:
    """What an app of either mode answered."""
    return run.answer or run.outputs["answer"]


def node_of(run: Run, tool: str) -> NodeRun:
    """The node of this tool, which has the tool's name in one of the languages."""
    [found] = [run.nodes[title] for title in TOOLS[tool]["identity"]["label"].values() if title in run.nodes]
    return found


def prompt(run: Run) -> list[Mapping[str, str]]:
    """The messages that the run's one LLM node sent."""
    [sent] = [node.prompt for node in run.nodes.values() if node.prompt]
    return list(sent)


@dataclass
class FakeMemos:
    """The MemOS cloud, except that it finds all that a user ever said, whatever the query."""

    SEARCH: ClassVar = "/api/openmem/v1/search/memory"
    ADD: ClassVar = "/api/openmem/v1/add/message"

    server: ScriptedServer
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What users said, by user."""
    instead: dict[str, Answer] = field(default_factory=dict)
    """What it answers instead, by path."""

    def __post_init__(self) -> None:
        self.server.script(self.SEARCH, self._search)
        self.server.script(self.ADD, self._add)

    @property
    def credentials(self) -> dict[str, str]:
        """What a builder would enter into Dify."""
        return {"memos_url": f"{self.server.url}/api/openmem/v1", "memos_api_key": "Token mpg-test"}

    @property
    def searches(self) -> list[Any]:
        """The bodies of all searches."""
        return [request.json for request in self.server.requests if request.path == self.SEARCH]

    @property
    def adds(self) -> list[Any]:
        """The bodies of all adds."""
        return [request.json for request in self.server.requests if request.path == self.ADD]

    def _search(self, request: Request) -> Answer:
        memories = [{"memory_value": text} for text in self.said.get(request.json["user_id"], [])]
        found = {"memory_detail_list": memories, "preference_detail_list": []}
        return self.instead.get(self.SEARCH, Answer({"code": 0, "data": found, "message": "ok"}))

    def _add(self, request: Request) -> Answer:
        if failure := self.instead.get(self.ADD):
            return failure
        said = [message["content"] for message in request.json["messages"] if message["role"] == "user"]
        self.said[request.json["user_id"]] += said
        added = {"success": True, "task_id": "t1", "status": "running"}
        return Answer({"code": 0, "data": added, "message": "ok"})
