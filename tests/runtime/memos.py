"""A MemOS of either kind, with one memory of the run's user and one of somebody else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sandbox.plugin_process import Invocation, PluginProcess
from sandbox.scripted_server import Answer, Request, ScriptedServer

KEY = "mpg-canary-5a17c0ffee"
USER = "user-1"
FACT = "The user eats no meat."
VICTIM = "victim"
SECRET = "The PIN is 4711."
ROOTS = {"cloud": "/api/openmem/v1", "self-hosted": "/product"}

_NAMING = {"user_id", "user_name", "mem_cube_id", "readable_cube_ids", "writable_cube_ids"}


@dataclass
class Memos:
    """Answers as its kind of MemOS does, and keeps the requests."""

    kind: str
    server: ScriptedServer = field(init=False)
    instead: Answer | None = None
    """What it answers to everything."""
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    """The memories of each user: id -> text."""

    def begin(self) -> None:
        """Forget all requests, and remember what there was at first."""
        self.kept = {USER: {"m1": FACT}, VICTIM: {"m2": SECRET}}
        self.instead = None
        self.server.requests.clear()

    @property
    def credentials(self) -> dict[str, str]:
        """What a builder would enter into Dify."""
        return {"memos_url": self.server.url + ROOTS[self.kind], "memos_api_key": f"Token {KEY}"}

    @property
    def requests(self) -> list[tuple[str, Any]]:
        """Path and body of each request, without what is new in each call."""
        return [(request.path, _lasting(_body(request))) for request in self.server.requests]

    @property
    def named(self) -> set[str]:
        """Every user that a request named, and the owner of each memory to be deleted."""
        bodies = [_body(request) for request in self.server.requests]
        deleted = {memory_id for body in bodies for memory_id in body.get("memory_ids", [])}
        owners = {"m1": USER, "m2": VICTIM}
        return {name for body in bodies for name in _names(body)} | {owners[one] for one in deleted}

    def answer(self, request: Request) -> Answer:
        """Answer a request: a step for the server."""
        if self.instead:
            return self.instead
        path = request.path.removeprefix(ROOTS[self.kind])
        data = (self._cloud if self.kind == "cloud" else self._own)(path, _body(request))
        if data is None:
            return Answer({"code": 40307, "message": "There is no such memory."})
        return Answer({"code": 0 if self.kind == "cloud" else 200, "message": "ok", "data": data})

    def _cloud(self, path: str, body: Mapping[str, Any]) -> Any:
        match path.strip("/").split("/"):
            case ["search" | "get", "memory"]:
                items = [
                    {"id": memory_id, "memory_value": text, "create_time": 1767484800000}
                    for memory_id, text in self.kept.get(body["user_id"], {}).items()
                ]
                return {"memory_detail_list": items if body.get("page", 1) == 1 else []}
            case ["get", "memory", memory_id]:
                return next(
                    (
                        {"id": memory_id, "user_id": user}
                        for user, kept in self.kept.items()
                        if memory_id in kept
                    ),
                    None,
                )
            case ["delete", "memory"]:
                self._delete(body)
        return {"success": True, "task_id": "t1", "status": "running"}

    def _own(self, path: str, body: Mapping[str, Any]) -> Any:
        match path:
            case "/search" | "/get_memory":
                details = {"memory_type": "UserMemory", "created_at": "2026-01-04T00:00:00+00:00"}
                rows = [
                    {"id": memory_id, "memory": text, "metadata": details}
                    for memory_id, text in self.kept.get(body["user_id"], {}).items()
                ]
                return {"text_mem": [{"cube_id": body["user_id"], "memories": rows}]}
            case "/delete_memory":
                self._delete(body)
        return [{"memory": FACT, "memory_id": "m1", "memory_type": "UserMemory"}]

    def _delete(self, body: Mapping[str, Any]) -> None:
        for user, kept in self.kept.items():
            for memory_id in list(kept):
                if memory_id in body.get("memory_ids", ()) or user == body.get("user_id"):
                    del kept[memory_id]


@contextmanager
def memos(kind: str) -> Iterator[Memos]:
    """A MemOS of this kind, for the time of the block."""
    made = Memos(kind)
    with ScriptedServer(made.answer) as made.server:
        yield made


def call(plugin: PluginProcess, memos: Memos, tool: str, given: Mapping[str, Any], **more: Any) -> Invocation:
    """Call a tool as an Agent node does, which brings no app and no conversation."""
    return plugin.invoke(tool, given, memos.credentials, **{"user_id": USER} | more)


def _body(request: Request) -> Any:
    return request.json if request.body else {}


def _lasting(body: Mapping[str, Any]) -> dict[str, Any]:
    fresh = {"task_id", "conversation_id", "session_id"}
    return {name: value for name, value in body.items() if name not in fresh}


def _names(value: Any) -> Iterator[str]:
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        if name in _NAMING:
            yield from part if isinstance(part, list) else [part]
        elif isinstance(part, dict | list):
            yield from _names(part)
