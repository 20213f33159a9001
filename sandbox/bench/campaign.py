"""The whole run: what is measured, in which order, and how often."""

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sandbox.bench import own_code
from sandbox.bench.contestants import (
    BARE,
    FRESH,
    MESSAGES,
    NOTHING,
    PLUGIN,
    Contestant,
    Plugins,
    ToolContestant,
    contestants,
    search,
)
from sandbox.bench.helper import tally
from sandbox.bench.links import Link, links
from sandbox.bench.pipes import Run, serve_at_once
from sandbox.bench.replies import USUAL, Counts, reply
from sandbox.bench.results import Cell, Keys, Results, Size, Team
from sandbox.bench.spread import Spread

THINKING = 1.0
"""Seconds that the slow server takes."""

CROWD = 500
"""Calls at once that the bar for the slow server is about."""

_ACROSS = (PLUGIN, FRESH, BARE)
_SINGLE_CALLS = 1000
_MANY = 100
# For processes side by side: a slow server and one that answers at once, callers, and calls to each process.
_LOADS = ((THINKING, 100, 300), (0.0, 16, 400))


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        round_trips: Of the links with TLS, in seconds.
        turns: How often each contestant's turn comes, by the number of callers.
        starts: Of a process.
        sizes: Memories of each kind in a reply.
        keys: Credentials in use.
        processes: Side by side.
        crowds: Times that a process has to serve a crowd before its memory is looked at.
        repetitions: Of each step of the plugin's own code.
    """

    round_trips: tuple[float, ...]
    turns: Mapping[int, int]
    starts: int
    sizes: tuple[int, ...]
    keys: tuple[int, ...]
    processes: tuple[int, ...]
    crowds: int
    repetitions: int


FULL = Effort(
    round_trips=(0, 0.02, 0.05, 0.2),
    turns={1: 12, 10: 10, 100: 6, CROWD: 3},
    starts=9,
    sizes=(1, 3, 6, 12, 25),
    keys=(1, 10, 100, 1000),
    processes=(1, 2, 4),
    crowds=3,
    repetitions=3000,
)
QUICK = Effort(
    round_trips=(0, 0.05),
    turns={1: 2, 10: 1, CROWD: 1},
    starts=2,
    sizes=(25,),
    keys=(1, 100),
    processes=(1, 2),
    crowds=1,
    repetitions=500,
)


def run(effort: Effort) -> Results:
    """Measure everything.

    Raises:
        Broken: Measuring itself failed.
    """
    began = time.monotonic()
    sizes: dict[int, Counts] = {number: (number, number, number, number) for number in effort.sizes}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways, certificate = stack.enter_context(links(folder, effort.round_trips))
        plain = ways[0]
        plugins = Plugins(folder, certificate, plain.url, [USUAL, *sizes.values()])
        _say("own code")
        steps = own_code.profile(effort.repetitions)
        _say("starts")
        start, at_rest = _starts(plugins, effort.starts)
        _say("memory under load")
        memory = _memory(plugins, plain, effort.crowds)
        _say("sizes of replies")
        found_sizes = _sizes(plugins, certificate, plain, sizes, effort.turns[1])
        _say("credentials")
        keys = _keys(plugins, plain, effort.keys)
        _say("processes side by side")
        teams = [
            _team(plugins, plain, size=size, thinking=thinking, callers=callers, calls=calls)
            for thinking, callers, calls in _LOADS
            for size in effort.processes
        ]
        _say(f"the first {CROWD} calls of a process")
        first_crowd = Spread.of(_first_crowd(plugins, plain) for _ in range(effort.turns[CROWD]))
        everyone = stack.enter_context(contestants(plugins, certificate))
        _say("connections")
        connections = {name: _connections(everyone[name], plain) for name in _ACROSS}
        cells = []
        for link in ways:
            for callers, turns in effort.turns.items():
                _say(f"{callers} at once, {link.name}")
                who = everyone if link is plain else {name: everyone[name] for name in _ACROSS}
                cells.append(_cell(who, link, callers, turns))
        for callers, turns in effort.turns.items():
            if callers >= _MANY:
                _say(f"{callers} at once, a server that takes {THINKING:g} s")
                who = {name: everyone[name] for name in _ACROSS}
                cells.append(_cell(who, plain, callers, turns, THINKING))
    return Results(
        cells=cells,
        first_crowd=first_crowd,
        connections=connections,
        start=start,
        at_rest=at_rest,
        memory=memory,
        sizes=found_sizes,
        keys=keys,
        teams=teams,
        own_code=steps,
        seconds=time.monotonic() - began,
    )


def take_turns(
    who: Mapping[str, Contestant], url: str, *, calls: int, callers: int, turns: int, counts: Counts = USUAL
) -> dict[str, list[Run]]:
    """Let contestants serve in turns, so that a noisy moment hits all alike; the first turn warms up."""
    runs: dict[str, list[Run]] = {name: [] for name in who}
    names = list(who)
    for turn in range(turns + 1):
        # Who comes first changes, because whoever comes next finds the processor's caches full of it.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found = who[name].serve(url, calls, callers, counts)
            if turn:
                runs[name].append(found)
    return runs


def _cell(who: Mapping[str, Contestant], link: Link, callers: int, turns: int, thinking: float = 0) -> Cell:
    calls = callers
    if callers == 1:
        # About half a second for each turn of one caller: as long as a caller is busy, caches stay warm.
        calls = round(0.5 / (link.round_trip or 0.002))
    runs = take_turns(who, link.url(seconds=thinking), calls=calls, callers=callers, turns=turns)
    return Cell(
        link=link,
        thinking=thinking,
        callers=callers,
        call={name: _each(found) for name, found in runs.items()},
        crowd={name: Spread.of(run.wall for run in found) for name, found in runs.items()},
    )


def _each(runs: list[Run]) -> Spread:
    return Spread.of(seconds for run in runs for seconds in run.seconds)


def _starts(plugins: Plugins, count: int) -> tuple[dict[str, Spread], dict[str, Spread]]:
    """Start this plugin and the empty one in turns: their seconds, and their MiB at rest."""
    seconds: dict[str, list[float]] = {PLUGIN: [], NOTHING: []}
    resident: dict[str, list[float]] = {PLUGIN: [], NOTHING: []}
    for turn in range(count + 1):
        for name, found in seconds.items():
            with plugins.process(name) as plugin:
                # The first one compiles.
                if turn:
                    found.append(plugin.start_seconds)
                    resident[name].append(plugin.resident)
    return (
        {name: Spread.of(values) for name, values in seconds.items()},
        {name: Spread.of(values) for name, values in resident.items()},
    )


def _memory(plugins: Plugins, link: Link, crowds: int) -> dict[str, dict[str, float]]:
    """MiB after loads, by moment and plugin."""
    found: dict[str, dict[str, float]] = {}
    for name in (PLUGIN, NOTHING, FRESH):
        with plugins.process(name) as plugin:
            contestant = ToolContestant(name, plugin)
            contestant.serve(link.url(), _SINGLE_CALLS, 1)
            found.setdefault(f"after {_SINGLE_CALLS:,} calls, one by one", {})[name] = plugin.resident
            for _ in range(crowds):
                contestant.serve(link.url(seconds=THINKING), CROWD, CROWD)
            found.setdefault(f"after {CROWD} at once", {})[name] = plugin.resident
            found.setdefault("at most", {})[name] = plugin.most_resident
    return found


def _sizes(
    plugins: Plugins, certificate: Path, link: Link, sizes: Mapping[int, Counts], turns: int
) -> list[Size]:
    found = []
    with contestants(plugins, certificate) as everyone, plugins.process(PLUGIN) as process:
        who = {name: everyone[name] for name in (PLUGIN, MESSAGES, BARE)}
        for counts in sizes.values():
            runs = take_turns(who, link.url(counts), calls=10, callers=1, turns=turns, counts=counts)
            ToolContestant(PLUGIN, process).serve(link.url(counts), 10 * turns, 1, counts)
            found.append(
                Size(
                    memories=sum(counts),
                    reply_bytes=len(reply(counts)),
                    message_bytes=len(json.dumps(plugins.messages[counts])),
                    call={name: _each(served) for name, served in runs.items()},
                    resident=process.resident,
                )
            )
    return found


def _keys(plugins: Plugins, link: Link, numbers: tuple[int, ...]) -> list[Keys]:
    found = []
    before = tally(link.port)["connections"]
    with plugins.process(PLUGIN) as plugin:
        for number in numbers:
            calls = [search(link.url(), key=f"mpg-bench-{call % number}") for call in range(max(number, 100))]
            plugin.serve_one_by_one(calls)
            run = plugin.serve_one_by_one(calls)
            opened = tally(link.port)["connections"] - before
            found.append(Keys(number, _each([run]), plugin.resident, opened))
    return found


def _team(plugins: Plugins, link: Link, *, size: int, thinking: float, callers: int, calls: int) -> Team:
    call = search(link.url(seconds=thinking))
    with contextlib.ExitStack() as stack:
        team = [stack.enter_context(plugins.process(PLUGIN)) for _ in range(size)]
        serve_at_once(team, [call] * callers, callers)
        used = sum(plugin.processor_seconds for plugin in team)
        runs = serve_at_once(team, [call] * calls, callers)
        used = sum(plugin.processor_seconds for plugin in team) - used
    return Team(thinking, callers, [calls / run.wall for run in runs], used / calls / size)


def _first_crowd(plugins: Plugins, link: Link) -> float:
    with plugins.process(PLUGIN) as plugin:
        return ToolContestant(PLUGIN, plugin).serve(link.url(seconds=THINKING), CROWD, CROWD).wall


def _connections(contestant: Contestant, link: Link) -> tuple[int, int]:
    before = tally(link.port)
    contestant.serve(link.url(), 100, 1)
    after = tally(link.port)
    return after["searches"] - before["searches"], after["connections"] - before["connections"]


def _say(what: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {what}", file=sys.stderr, flush=True)  # noqa: DTZ005 - for who waits
