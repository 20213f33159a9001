"""The contestants do what their names say, take turns, and what comes out is judged and written down."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from sandbox.bench import own_code
from sandbox.bench.bars import Bar, bars
from sandbox.bench.campaign import CROWD, THINKING, take_turns
from sandbox.bench.contestants import BARE, CALLS, FRESH, MESSAGES, NOTHING, PLUGIN, Plugins, contestants
from sandbox.bench.helper import tally
from sandbox.bench.links import Link, links
from sandbox.bench.pipes import Run
from sandbox.bench.replies import USUAL, Counts
from sandbox.bench.report import page
from sandbox.bench.results import Cell, Keys, Results, Size, Team
from sandbox.bench.spread import Spread

FAR = 0.05
SIZES: list[Counts] = [USUAL, (2, 2, 2, 2)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Link], Plugins, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("bench")
    with ExitStack() as stack:
        ways, certificate = stack.enter_context(links(folder, [0, FAR]))
        plugins = Plugins(folder, certificate, ways[0].url, SIZES)
        yield ways, plugins, stack.enter_context(contestants(plugins, certificate))


@pytest.mark.parametrize(
    ("name", "searches", "connections"),
    [(PLUGIN, 8, 1), (BARE, 8, 1), (FRESH, 8, 8), (NOTHING, 0, 0), (MESSAGES, 0, 0)],
)
def test_contestants_search_and_connect_as_they_should(
    world: Any, name: str, searches: int, connections: int
) -> None:
    [plain, *_], _, everyone = world
    before = tally(plain.port)
    everyone[name].serve(plain.url(), 8, 1)
    after = tally(plain.port)
    assert after["searches"] - before["searches"] == searches
    assert after["connections"] - before["connections"] == connections


def test_same_messages_are_those_of_a_search(world: Any) -> None:
    _, plugins, _ = world
    with plugins.process(MESSAGES) as process:
        for counts in SIZES:
            assert process.ask(CALLS[MESSAGES]("", counts)) == plugins.messages[counts]


def test_round_trips_are_paid_by_who_makes_them(world: Any) -> None:
    *_, far = world[0]
    everyone = {name: world[2][name] for name in (PLUGIN, FRESH, BARE)}
    runs = take_turns(everyone, far.url(), calls=1, callers=1, turns=2)
    seconds = {name: min(run.seconds[0] for run in found) for name, found in runs.items()}
    assert seconds[BARE] >= FAR
    assert seconds[PLUGIN] >= FAR
    # To connect, for TLS and for the request.
    assert seconds[FRESH] >= 3 * FAR


class Recorder:
    def __init__(self, name: str, served: list[str]) -> None:
        self.name = name
        self.served = served

    def serve(self, _url: str, calls: int, _callers: int, _counts: Counts = USUAL) -> Run:
        self.served.append(self.name)
        return Run(len(self.served), [1.0] * calls)


def test_contestants_take_turns_and_warm_up() -> None:
    served: list[str] = []
    who = {name: Recorder(name, served) for name in "ABC"}
    runs = take_turns(who, "", calls=2, callers=1, turns=3)
    assert "".join(served) == "ABCBCACABABC"
    assert [run.wall for run in runs["A"]] == [6, 8, 10]


def test_spread() -> None:
    assert Spread.of(range(101)) == Spread(50, 10, 90)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_profile_of_own_code_adds_up() -> None:
    steps = own_code.profile(20)
    whole, parts = ([step for step in steps if step.is_part is part] for part in (False, True))
    assert whole
    assert parts
    assert own_code.in_all(steps) == pytest.approx(sum(step.seconds.median for step in whole))
    assert all(0 < step.seconds.low <= step.seconds.median <= step.seconds.high for step in steps)


@pytest.mark.parametrize(("measured", "holds"), [(0.9, True), (1.0, True), (1.1, False)])
def test_bar_is_judged(measured: float, holds: bool) -> None:
    assert Bar("", measured, 1.0, "s").holds is holds
    assert Bar("", 2 - measured, 1.0, "s", at_least=True).holds is holds
    assert Bar("", measured, 1.0, "s").words[2] == ("holds" if holds else "missed")


def results() -> Results:
    """What a run might have found; each contestant has times of its own."""
    seconds = {PLUGIN: 0.054, FRESH: 0.162, BARE: 0.05, NOTHING: 0.0535, MESSAGES: 0.0535}
    spreads = {name: Spread(value, value / 2, value * 2) for name, value in seconds.items()}
    way = Link(1, None)
    cells = [
        Cell(link, thinking, callers, spreads, spreads)
        for link, thinking, callers in (
            (way, 0, 1),
            (way, 0, CROWD),
            (replace(way, round_trip=FAR), 0, 1),
            (replace(way, round_trip=FAR), 0, CROWD),
            (way, THINKING, CROWD),
        )
    ]
    return Results(
        cells=cells,
        first_crowd=Spread(1.9, 1.9, 1.9),
        connections={PLUGIN: (100, 1), FRESH: (100, 99), BARE: (100, 2)},
        start={PLUGIN: Spread(0.9, 0.8, 1), NOTHING: Spread(0.7, 0.6, 0.8)},
        at_rest={PLUGIN: Spread(70, 69, 71), NOTHING: Spread(61, 60, 62)},
        memory={"at most": {PLUGIN: 81.25, NOTHING: 71.5}},
        sizes=[Size(12, 2048, 4096, {PLUGIN: spreads[PLUGIN]}, 83.5)],
        keys=[Keys(1000, spreads[PLUGIN], 84.5, 3)],
        teams=[Team(THINKING, 100, [88.0, 89.0], 0.00125)],
        own_code=[own_code.Step("parameters", Spread(5e-6, 4e-6, 6e-6))],
        seconds=90,
    )


def test_bars_are_ratios_and_differences_of_what_was_measured() -> None:
    found = bars(results())
    assert [bar.measured for bar in found] == pytest.approx([1.08, 3, 0.5, 0.005, 0.054, 1.9, 0.2, 9])
    assert [bar.limit for bar in found] == [1.06, 2.8, 1.0, 0.3, 1.8, 1.8, 0.15, 8]
    assert [bar.holds for bar in found] == [False, True, True, True, True, False, False, False]


def test_page_tells_all_of_it() -> None:
    text = page(results(), bars(results()), "make bench")
    words = ("`make bench`", "1.5 minutes", "1.08 times", "missed", "54 [27, 108]", "81.2", "88, 89", "177")
    assert [word for word in words if word not in text] == []
    for is_table, lines in groupby(text.splitlines(), lambda line: line.startswith("|")):
        assert not is_table or len({line.count("|") for line in lines}) == 1
