"""The apps that the tests run, and a MemOS for them that keeps what it is given."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sandbox.dify_engine import DifyApp, Run
from sandbox.plugin_process import REPOSITORY
from sandbox.scripted_server import Answer, Request, ScriptedServer

ASSISTANT = REPOSITORY / "_assets" / "memory_assistant.yml"
WORKFLOW = REPOSITORY / "_assets" / "memory_workflow.yml"
OF_0_0_4 = Path(__file__).with_name("app_of_0_0_4.yml")

SHIPPED = (ASSISTANT, WORKFLOW)
ALL = (*SHIPPED, OF_0_0_4)

KEY = "Token mpg-test"


def run_code(code: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run a code node of a test's app: a stand-in for Dify's sandbox, for code that the tests wrote."""
    scope: dict[str, Any] = {}
    exec(code, scope)  # noqa: S102 - see above
    return scope["main"](**inputs)


def say(app: DifyApp, message: str, user_id: str, conversation_id: str | None = None) -> Run:
    """Send a message to an app of either mode."""
    if yaml.safe_load(app.dsl)["app"]["mode"] == "workflow":
        return app.run({"message": message}, user_id=user_id)
    return app.chat(message, user_id=user_id, conversation_id=conversation_id)


def answer(run: Run) -> str:
    """What an app of either mode answered."""
    return run.answer or run.outputs["answer"]


@cache
def nodes(dsl: str) -> dict[str, dict[str, Any]]:
    """The data of an app's nodes, by their id; without notes."""
    graph = yaml.safe_load(dsl)["workflow"]["graph"]
    return {node["id"]: node["data"] for node in graph["nodes"] if node["type"] != "custom-note"}


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
    dependency = {"marketplace_plugin_unique_identifier": f"memtensor/memos:1.0.0@{'0' * 64}"}
    return json.dumps(
        {
            "kind": "app",
            "version": "0.6.0",
            "app": {"mode": "workflow"},
            "dependencies": [{"type": "marketplace", "value": dependency}],
            "workflow": {"graph": graph},
        }
    )


def changed(dsl: str, change: Callable[[dict[str, Any]], None]) -> str:
    """The app with a change made to the data of each of its tool nodes."""
    app = yaml.safe_load(dsl)
    for node in app["workflow"]["graph"]["nodes"]:
        if node["data"].get("type") == "tool":
            change(node["data"])
    return yaml.safe_dump(app, allow_unicode=True)


@dataclass(frozen=True)
class Dialect:
    """One of MemOS's two APIs: where it answers, and how."""

    name: str
    root: str
    search_path: str
    add_path: str
    conversation: str
    found: Callable[[str, list[str]], Any]
    added: Callable[[str, int], Any]
    error: Mapping[str, Any]
    """An error inside HTTP 200."""
    error_words: str


CLOUD = Dialect(
    name="cloud",
    root="/api/openmem/v1",
    search_path="/api/openmem/v1/search/memory",
    add_path="/api/openmem/v1/add/message",
    conversation="conversation_id",
    found=lambda _, texts: {
        "code": 0,
        "data": {
            "memory_detail_list": [
                {"id": f"m{number}", "memory_value": text, "create_time": 1767571200000, "relativity": 0.9}
                for number, text in enumerate(texts)
            ],
            "preference_detail_list": [],
        },
        "message": "ok",
    },
    added=lambda _, __: {
        "code": 0,
        "data": {"success": True, "task_id": "t1", "status": "running"},
        "message": "ok",
    },
    error={"code": 40304, "data": None, "message": "quota used up"},
    error_words="answered 40304: quota used up. Wait, or raise the quota of your MemOS account.",
)
SELF_HOSTED = Dialect(
    name="self-hosted",
    root="",
    search_path="/product/search",
    add_path="/product/add",
    conversation="session_id",
    found=lambda user, texts: {
        "code": 200,
        "message": "Search completed successfully",
        "data": {
            "text_mem": [
                {
                    "cube_id": user,
                    "memories": [
                        {"id": f"m{number}", "memory": text, "metadata": {"relativity": 0.9}}
                        for number, text in enumerate(texts)
                    ],
                }
            ]
        },
    },
    added=lambda user, count: {
        "code": 200,
        "message": "Memory added successfully",
        "data": [{"memory_id": f"m{number}", "cube_id": user} for number in range(count)],
    },
    error={"code": 500, "data": None, "message": "database gone"},
    error_words="answered 500: database gone. Try again later.",
)
DIALECTS = (CLOUD, SELF_HOSTED)


@dataclass
class FakeMemos:
    """A MemOS that finds all that a user ever said, whatever the query; on top of a scripted server."""

    server: ScriptedServer
    dialect: Dialect
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What users said, by user."""
    refusing: set[str] = field(default_factory=set)
    """Paths that answer with the dialect's error."""

    def __post_init__(self) -> None:
        self.server.script(self.dialect.search_path, self._search)
        self.server.script(self.dialect.add_path, self._add)

    @property
    def credentials(self) -> dict[str, str]:
        """What a builder would enter into Dify."""
        return {"memos_url": self.server.url + self.dialect.root, "memos_api_key": KEY}

    def bodies(self, path: str) -> list[Any]:
        """The bodies of all requests to a path."""
        return [request.json for request in self.server.requests if request.path == path]

    def _search(self, request: Request) -> Answer:
        if self.dialect.search_path in self.refusing:
            return Answer(self.dialect.error)
        user = request.json["user_id"]
        return Answer(self.dialect.found(user, self.said.get(user, [])))

    def _add(self, request: Request) -> Answer:
        if self.dialect.add_path in self.refusing:
            return Answer(self.dialect.error)
        user, messages = request.json["user_id"], request.json["messages"]
        self.said[user] += [message["content"] for message in messages if message["role"] == "user"]
        return Answer(self.dialect.added(user, len(messages)))
