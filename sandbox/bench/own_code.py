"""Profiles the plugin's own code for one search: all that it does itself, without the wire and the SDK."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from memos_client import prompt
from memos_client.client import MemosClient
from memos_client.dialects import dialect_for
from memos_client.envelope import content
from memos_client.models import Credentials, SearchRequest
from memos_client.results import LISTS, Memory
from sandbox.bench.replies import USUAL, reply
from sandbox.bench.spread import Spread

_CREDENTIALS = {"memos_url": "https://memos.memtensor.cn/api/openmem/v1", "memos_api_key": "Token mpg-bench"}
_SECRETS = ["mpg-bench"]
_PARAMETERS = {"query": "Where does the user like to eat?", "memory_limit_number": 6}


@dataclass(frozen=True)
class Step:
    """A step, in seconds; a part belongs to the step before it."""

    name: str
    seconds: Spread
    is_part: bool = False


def profile(repetitions: int) -> list[Step]:
    """Measure each step of a search that finds 12 memories."""
    dialect = dialect_for(Credentials.parse(_CREDENTIALS))
    request = SearchRequest.parse(_PARAMETERS, user_id="user-1")
    body = reply(USUAL)
    data = content(dialect.host, 200, body, _SECRETS)
    items = [(kind, item) for kind, name in LISTS.items() for item in data[name]]
    memories = [Memory.read(kind, item) for kind, item in items]
    steps: list[tuple[str, Callable[[], object], bool]] = [
        ("parameters", lambda: SearchRequest.parse(_PARAMETERS, user_id="user-1"), False),
        ("credentials and dialect", lambda: MemosClient(_CREDENTIALS), False),
        ("request body", lambda: json.dumps(dialect.search_body(request)).encode(), False),
        ("reply: JSON and envelope", lambda: content(dialect.host, 200, body, _SECRETS), False),
        ("results", lambda: dialect.read_search(data, request), False),
        ("memories", lambda: [Memory.read(kind, item) for kind, item in items], True),
        ("prompt block", lambda: prompt.block((memory.kind, memory.line) for memory in memories), True),
        ("variable `memories`", lambda: [memory.variable for memory in memories], True),
    ]
    return [Step(name, _measured(work, repetitions), is_part) for name, work, is_part in steps]


def in_all(steps: list[Step]) -> float:
    """Seconds of all steps: the sum of their medians."""
    return sum(step.seconds.median for step in steps if not step.is_part)


def _measured(work: Callable[[], object], repetitions: int) -> Spread:
    seconds = []
    for repetition in range(repetitions + repetitions // 10):
        started = time.perf_counter()
        work()
        ended = time.perf_counter()
        if repetition >= repetitions // 10:
            seconds.append(ended - started)
    return Spread.of(seconds)
