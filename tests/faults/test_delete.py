"""A deletion that breaks off at any of its steps: sent at most once, and no word that is not known."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import pytest

from sandbox.plugin_process import Invocation, PluginProcess
from tests.faults.conftest import API_ROOTS, Start, credentials
from tests.faults.faulty_server import Arrival, FaultyServer, Wire, head, http

SECONDS = 9
MEMORY = "m1"
DOUBT = "The memories may have been deleted all the same."

type Step = Literal["first proof", "deletion, done", "deletion, not done", "second proof"]
STEPS: tuple[Step, ...] = ("first proof", "deletion, done", "deletion, not done", "second proof")


def is_cut_off(wire: Wire) -> None:
    """Send less than is promised."""
    wire.send(head(200, {"Content-Length": 99}) + b'{"code": 0')
    wire.close()


FAULTS: dict[str, tuple[Callable[[Wire], None], str, str]] = {
    "reset": (Wire.reset, "MemosConnectionError", "connection dropped"),
    "closed": (Wire.close, "MemosConnectionError", "connection dropped"),
    "silent": (lambda wire: wire.wait(60), "MemosConnectionError", " s)."),
    "cut off": (is_cut_off, "MemosReplyError", "(cut off)"),
    "500": (lambda wire: wire.send(http({"code": 500}, 500)), "MemosServerError", "answered 500"),
    "503": (lambda wire: wire.send(http(b"", 503)), "MemosServerError", "answered 503"),
    "429": (lambda wire: wire.send(http(b"", 429)), "MemosQuotaError", "answered 429"),
    "401": (lambda wire: wire.send(http({"code": 401}, 401)), "MemosAuthenticationError", "answered 401"),
    "page": (lambda wire: wire.send(http(b"<html>")), "MemosReplyError", "(HTML)"),
}
"""By name: what happens, the error's class, and some of its words. 429 and 401 refuse."""
REFUSALS = {"429", "401"}


class Keeper:
    """A MemOS of either kind that keeps one memory, and breaks at one step."""

    def __init__(self, api: str, fault: str, step: Step) -> None:
        self.api, self.step = api, step
        self.break_off = FAULTS[fault][0]
        self.kept, self.asked_to_delete = True, False

    def __call__(self, wire: Wire) -> None:
        """Answer a request, or break."""
        arrival = wire.request()
        step = self._step(arrival)
        if "deletion" in step:
            self.asked_to_delete = True
            self.kept = self.step == "deletion, not done"
        if step in self.step:
            self.break_off(wire)
        else:
            wire.send(http({"code": 0 if self.api == "cloud" else 200, "data": self._data(arrival)}))

    def _step(self, arrival: Arrival) -> str:
        if "delete" in arrival.path:
            return "deletion"
        return "second proof" if self.asked_to_delete else "first proof"

    def _data(self, arrival: Arrival) -> Any:
        if "delete" in arrival.path:
            return {"success": True}
        if self.api != "cloud":
            row = {"id": MEMORY, "memory": "Eats no meat.", "metadata": {"memory_type": "UserMemory"}}
            return {"text_mem": [{"memories": [row] * self.kept}]}
        if not arrival.body:
            return {"id": MEMORY, "user_id": "user-1", "status": "activated"} if self.kept else None
        return {
            "memory_detail_list": [{"id": MEMORY, "memory_value": "Eats no meat."}] * self.kept,
            "pages": 1,
        }


@dataclass(frozen=True)
class Outcome:
    """What came of a deletion, and what had arrived for it."""

    done: Invocation
    deletions: int
    looks: int


type Case = tuple[str, str, Step, bool]
CASES: list[Case] = [
    case
    for case in product(API_ROOTS, FAULTS, STEPS, (False, True))
    # Everything goes without a look before; and what refuses has not done it.
    if not (case[3] and case[2] == "first proof")
    and not (case[1] in REFUSALS and case[2] == "deletion, done")
]


@pytest.fixture(scope="module")
def plugin(start: Start) -> Iterator[PluginProcess]:
    """One with little time for a deletion."""
    with start({"LIMITS": json.dumps({"DELETE_SECONDS": SECONDS})}) as process:
        yield process


@pytest.fixture(scope="module")
def outcomes(plugin: PluginProcess) -> dict[Case, Outcome]:
    """What came of each fault at each step; all at once."""

    def suffer(case: Case) -> Outcome:
        api, fault, step, everything = case
        with FaultyServer(Keeper(api, fault, step)) as server:
            done = plugin.invoke(
                "delete_memories",
                {"delete_all": True} if everything else {"memory_ids": MEMORY},
                credentials(server.url, api),
                user_id="user-1",
                app_id="app-1",
                timeout=4 * SECONDS,
            )
            deletions = sum("delete" in arrival.path for arrival in server.arrivals)
            return Outcome(done, deletions, len(server.arrivals) - deletions)

    with ThreadPoolExecutor(16) as threads:
        return dict(zip(CASES, threads.map(suffer, CASES), strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_what_is_told_is_what_is_known(outcomes: dict[Case, Outcome], case: Case) -> None:
    outcome, (_, fault, step, everything) = outcomes[case], case
    _, kind, words = FAULTS[fault]
    assert outcome.deletions == (step != "first proof")
    if step == "deletion, done":
        assert outcome.done.error is None
        assert outcome.done.text.startswith("Deleted: ")
        return
    error = outcome.done.error
    assert error is not None
    assert outcome.done.messages == []
    if step == "deletion, not done" and fault not in REFUSALS:
        assert error.error_type == "MemosServerError"
        assert f" Still there: {MEMORY}." in error.message
        assert ("Gone: none." in error.message) is not everything
    else:
        assert error.error_type == kind
        assert (DOUBT in error.message) is (step == "second proof")
        assert ("Nothing was deleted." in error.message) is (step == "first proof")
    assert words in error.message
