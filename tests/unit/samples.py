"""What these tests share: both deployments, recorded replies, and a MemOS that plays a script."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any, Literal

import pytest

from memos_client.dialects import Dialect, dialect_for
from memos_client.models import Credentials

REPLIES = Path(__file__).parent / "replies"


def cases(names: str, table: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Parametrise over a table: name of the case -> value of `names`."""
    return pytest.mark.parametrize(names, list(table.values()), ids=list(table))


@dataclass(frozen=True)
class Reply:
    """A reply to play: its body is bytes as they are, or else JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def wire(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Length": len(body), "Connection": "close"} | self.headers
        lines = [f"HTTP/1.1 {self.status} Played", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body

    @classmethod
    def recorded(cls, name: str) -> "Reply":
        reply = json.loads((REPLIES / f"{name}.json").read_text())
        return cls(reply.get("json", reply.get("text", "").encode()), reply["status"], reply["headers"])


@dataclass(frozen=True)
class Deployment:
    """One of the two kinds of MemOS, and its `data` for a memory found, none found, and one added."""

    name: str
    url: str
    host: str
    paths: tuple[str, str]
    success: int
    found: Any
    nothing: Any
    added: Any

    @property
    def credentials(self) -> dict[str, str]:
        return {"memos_url": self.url, "memos_api_key": "Token mpg-test", "deployment": "auto"}

    @property
    def dialect(self) -> Dialect:
        return dialect_for(Credentials.parse(self.credentials))

    def says(self, data: Any) -> Reply:
        return Reply({"code": self.success, "message": "ok", "data": data})


FACT = "The user eats no meat."
CLOUD = Deployment(
    name="cloud",
    url="https://memos.memtensor.cn/api/openmem/v1",
    host="memos.memtensor.cn",
    paths=("/search/memory", "/add/message"),
    success=0,
    found={
        "memory_detail_list": [
            {"id": "mem-1", "memory_value": FACT, "create_time": 1767484800000, "relativity": 0.8}
        ]
    },
    nothing={"memory_detail_list": []},
    added={"success": True, "task_id": "task-1", "status": "running"},
)
DETAILS = {"created_at": "2026-01-04T00:00:00+00:00", "relativity": 0.8}
SELF_HOSTED = Deployment(
    name="self_hosted",
    url="http://memos.example:8000",
    host="memos.example:8000",
    paths=("/product/search", "/product/add"),
    success=200,
    found={
        "text_mem": [
            {"cube_id": "user-1", "memories": [{"id": "mem-1", "memory": FACT, "metadata": DETAILS}]}
        ]
    },
    nothing={"text_mem": []},
    added=[{"memory": FACT, "memory_id": "mem-1", "cube_id": "user-1"}],
)
BOTH = (CLOUD, SELF_HOSTED)


def of_each(name: str, cloud: Any, self_hosted: Any) -> pytest.MarkDecorator:
    """Parametrise over both deployments, with the value of `name` that belongs to each."""
    table = {"cloud": (CLOUD, cloud), "self_hosted": (SELF_HOSTED, self_hosted)}
    return cases(f"deployment, {name}", table)


@dataclass(frozen=True)
class Lost:
    """A failure to play: of the connection, of TLS, or once the request has been sent."""

    error: OSError
    at: Literal["connect", "tls", "read"] = "read"


Step = Reply | Lost | bytes


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    url: str
    headers: Message
    json: Any


class Memos:
    """Every server there is: plays a script, and keeps the requests. It stands where sockets would be."""

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.requests: list[Request] = []
        self.connections: list[float] = []
        """The seconds that each attempt to connect might have taken."""
        self.silences: list[float] = []
        """The seconds that each wait for a byte might have taken."""

    def plays(self, *script: Step) -> None:
        self.script.extend(script)

    def connect(self, _: tuple[str, int], timeout: float, *__: Any, **___: Any) -> "_Socket":
        self.connections.append(timeout)
        self._fail("connect")
        return _Socket(self)

    def secure(self, sock: "_Socket", **_: Any) -> "_Socket":
        self._fail("tls")
        sock.scheme = "https"
        return sock

    def _fail(self, at: str) -> None:
        if isinstance(self.script[0], Lost) and self.script[0].at == at:
            raise self.script.pop(0).error


class _Socket:
    def __init__(self, memos: Memos) -> None:
        self.memos = memos
        self.scheme = "http"
        self.received = b""

    def sendall(self, data: bytes) -> None:
        self.received += data

    def makefile(self, _: str) -> io.BufferedReader:
        head, _, body = self.received.partition(b"\r\n\r\n")
        line, _, headers = head.decode().partition("\r\n")
        method, target, _ = line.split(" ")
        assert method == "POST"
        parsed = message_from_bytes(headers.encode())
        request = Request(f"{self.scheme}://{parsed['Host']}{target}", parsed, json.loads(body))
        self.memos.requests.append(request)
        return io.BufferedReader(_Stream(self.memos.script.pop(0)))

    def dup(self) -> "_Socket":
        return self

    def settimeout(self, seconds: float) -> None:
        self.memos.silences.append(seconds)

    def close(self) -> None:
        pass


class _Stream(io.BytesIO):
    def __init__(self, step: Step) -> None:
        super().__init__(step.wire if isinstance(step, Reply) else b"" if isinstance(step, Lost) else step)
        self.error = step.error if isinstance(step, Lost) else None

    def readinto(self, buffer: Any) -> int:
        if self.error:
            raise self.error
        return super().readinto(buffer)
