"""What these tests share: both deployments, requests to them, and a MemOS that answers as a test says."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gevent
import pytest
import responses
from requests import PreparedRequest

from memos_client.client import MemosClient
from memos_client.errors import MemosError
from memos_client.identity import Caller
from memos_client.inputs import AddRequest, SearchRequest
from memos_client.memories import Added, Found

REPLIES = Path(__file__).parent / "replies"
KEY = "mpg-0123456789abcdef"
CALLER = Caller("user-1", "app-1", "conversation-1", KEY)
FACT = "The user eats no meat."


def cases(names: str, table: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Parametrise over a table: name of the case -> value of `names`."""
    return pytest.mark.parametrize(names, list(table.values()), ids=list(table))


def failure(call: Callable[..., Any], *args: Any, **values: Any) -> MemosError:
    """The error that a call ends with."""
    with pytest.raises(MemosError) as caught:
        call(*args, **values)
    return caught.value


def search_request(**values: Any) -> SearchRequest:
    return SearchRequest.parse({"query": "food"} | values, CALLER)


def add_request(**values: Any) -> AddRequest:
    said = values.keys() & {"user_messages", "ai_messages", "messages"}
    return AddRequest.parse(values if said else {"user_messages": "Hello."} | values, CALLER)


@dataclass(frozen=True)
class Answer:
    """A reply to give: its body is bytes as they are, or else JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Lost:
    """A failure instead of a reply, before the request has left or after; None is endless silence."""

    error: Exception | None
    sent: bool = True

    def happens(self) -> None:
        if self.error:
            raise self.error
        gevent.sleep(600)


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    url: str
    headers: Mapping[str, str]
    json: Any


class FakeMemos:
    """Every server there is: gives the planned answers in turn, and keeps the requests."""

    def __init__(self) -> None:
        self.planned: list[Answer | Lost] = []
        self.otherwise: Callable[[Received], Answer] | None = None
        """Answers what nothing was planned for."""
        self.requests: list[Received] = []
        self.tries = 0

    def answers(self, *planned: Answer | Lost) -> None:
        self.planned.extend(planned)

    def receive(self, request: PreparedRequest) -> tuple[int, Mapping[str, str], bytes]:
        """Answer a request: the callback for `responses`, which by itself reads no body."""
        self.tries += 1
        answer = None if self.otherwise and not self.planned else self.planned.pop(0)
        if isinstance(answer, Lost) and not answer.sent:
            answer.happens()
        body = b"".join(cast("Iterable[bytes]", request.body or ()))
        received = Received(str(request.url), request.headers, json.loads(body) if body else None)
        self.requests.append(received)
        if isinstance(answer, Lost):
            answer.happens()
        elif not answer and self.otherwise:
            answer = self.otherwise(received)
        return answer.status, answer.headers, answer.content


@contextmanager
def fake_memos() -> Iterator[FakeMemos]:
    """A MemOS that is asked as often as the test plans answers; nothing reaches the network."""
    memos = FakeMemos()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in (responses.GET, responses.POST):
            mock.add_callback(method, re.compile(""), memos.receive)
        yield memos
    assert not memos.planned, "MemOS was asked less often than the test says"


@dataclass(frozen=True)
class Deployment:
    """One of the two kinds of MemOS, and its `data` for a memory found, none found, and one added."""

    name: str
    url: str
    host: str
    search_path: str
    add_path: str
    success: int
    found: Any
    nothing: Any
    added: Any

    @property
    def credentials(self) -> dict[str, str]:
        return {"memos_url": self.url, "memos_api_key": f"Token {KEY}", "deployment": self.name}

    @property
    def client(self) -> MemosClient:
        return MemosClient(self.credentials)

    def search(self, **values: Any) -> list[Found]:
        return self.client.search(search_request(**values))

    def add(self, **values: Any) -> Added:
        return self.client.add(add_request(**values))

    def says(self, data: Any) -> Answer:
        return Answer({"code": self.success, "message": "ok", "data": data})


CLOUD = Deployment(
    name="cloud",
    url="https://memos.memtensor.cn/api/openmem/v1",
    host="memos.memtensor.cn",
    search_path="/search/memory",
    add_path="/add/message",
    success=0,
    found={
        "memory_detail_list": [
            {"id": "mem-1", "memory_value": FACT, "create_time": 1767484800000, "relativity": 0.81239}
        ]
    },
    nothing={"memory_detail_list": []},
    added={"success": True, "task_id": "task-1", "status": "running"},
)
DETAILS = {"created_at": "2026-01-04T00:00:00+00:00", "relativity": 0.81239}
SELF_HOSTED = Deployment(
    name="self_hosted",
    url="http://memos.example:8000",
    host="memos.example:8000",
    search_path="/product/search",
    add_path="/product/add",
    success=200,
    found={
        "text_mem": [
            {"cube_id": "user-1", "memories": [{"id": "mem-1", "memory": FACT, "metadata": DETAILS}]}
        ]
    },
    nothing={"text_mem": []},
    added=[{"memory": FACT, "memory_id": "mem-1", "memory_type": "UserMemory", "cube_id": "user-1"}],
)
BOTH = (CLOUD, SELF_HOSTED)


def of_each(name: str, cloud: Any, self_hosted: Any) -> pytest.MarkDecorator:
    """Parametrise over both deployments, with the value of `name` that belongs to each."""
    return cases(f"deployment, {name}", {"cloud": (CLOUD, cloud), "self_hosted": (SELF_HOSTED, self_hosted)})
