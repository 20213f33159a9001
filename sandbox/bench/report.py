"""Writes the results down as a page of Markdown."""

import os
import platform
import sysconfig
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

from sandbox.bench.bars import Bar
from sandbox.bench.campaign import CROWD, THINKING
from sandbox.bench.contestants import BARE, FRESH, MESSAGES, NOTHING, PLUGIN
from sandbox.bench.own_code import in_all
from sandbox.bench.results import Cell, Results
from sandbox.bench.spread import Spread

_PACKAGES = ("dify_plugin", "gevent", "urllib3", "pydantic", "requests")

_PAGE = """\
# Benchmarks

`{command}` measured this and wrote this page on {today}; it took {minutes:.1f} minutes.

What does a call of the plugin cost, beside the least that it could cost, and beside what a call usually
costs? All numbers come from one run, in which the contestants took turns: a noisy moment hit all of them
alike. The first turn of each was not counted. Times are medians, with the tenth and the ninetieth
percentile behind them.

| | |
|---|---|
{environment}

- **{plugin}**: the tool Search Memory, which finds 12 memories (6 facts and 6 preferences).
- **{bare}**: no plugin, only a socket that is kept open. This is the limit of the wire.
- **{fresh}**: a tool that calls `requests.post`, and so opens a connection for each call.
- **{nothing}**: a tool that sends one word. This is what the plugin SDK takes by itself.
- **{messages}**: a tool that sends what Search Memory sends, and asks nobody.

MemOS is a stand-in on the same machine. It answers at once, unless another time is given. A relay makes the
round trips: it passes each byte on after half of one, and a new connection takes a whole one. Compare
ratios, and differences within a row: the milliseconds are those of this machine and this build of Python.

![Milliseconds of a call at growing distance, and of growing numbers of callers](benchmarks.svg)

## Bars

{bars}

## One caller

Milliseconds for a call; the next one begins when it has ended.

{one}

Connections opened for {connection_calls} calls over HTTP: {connections}.

## Many callers

Milliseconds until all callers, who begin in the same moment, have their answer. Connections that are kept
were open before.

{many}

When the server takes {thinking:g} s and the process has just started, so that no connection is open yet,
{crowd} callers have their answer after {first_crowd} ms.

## Start and memory

{start}

MiB of memory that a process holds (resident set):

{memory}

## Size of the reply

As many facts, preferences, tool memories and skills each. Milliseconds for a call over HTTP, one caller.

{sizes}

## Number of credentials

One process, whose calls go through so many API keys in turn. A key travels with its request only; all of
them share the connections.

{keys}

## Processes side by side

Each process has the same load, whatever the others do. The plugin keeps no state, so processes don't hinder
each other, as long as the machine has processors for them: here, they share {cores} with the stand-in and
with what calls them.

{teams}

## Own code

Microseconds that the plugin's own code takes for a search that finds 12 memories, in a hot loop, without
the SDK and the connection. What is set in italics is a part of the results.

{own_code}
"""


def page(results: Results, found: Sequence[Bar], command: str) -> str:
    """The whole page."""
    return _PAGE.format(
        command=command,
        today=date.today(),  # noqa: DTZ011 - the reader's day
        minutes=results.seconds / 60,
        environment="\n".join(f"| {name} | {value} |" for name, value in _environment()),
        plugin=PLUGIN.capitalize(),
        fresh=FRESH.capitalize(),
        bare=BARE.capitalize(),
        nothing=NOTHING.capitalize(),
        messages=MESSAGES.capitalize(),
        bars=_table(("Bar", "Measured", "Limit", ""), ((bar.name, *bar.words) for bar in found)),
        one=_one(results),
        connection_calls=results.connections[PLUGIN][0],
        connections=", ".join(f"{name} {opened}" for name, (_, opened) in results.connections.items()),
        many=_many(results),
        thinking=THINKING,
        crowd=CROWD,
        first_crowd=_spread(results.first_crowd, 1000),
        start=_start(results),
        memory=_memory(results),
        sizes=_sizes(results),
        keys=_keys(results),
        cores=f"{os.cpu_count()} cores",
        teams=_teams(results),
        own_code=_own_code(results),
    )


def _environment() -> Iterable[tuple[str, str]]:
    release = platform.release().partition("-")[0]
    yield "Machine", f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {release}"
    optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    yield "Python", f"{platform.python_version()}, built {'with' if optimized else 'without'} optimization"
    for package in _PACKAGES:
        yield package, version(package)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _one(results: Results) -> str:
    everyone = (PLUGIN, BARE, FRESH, NOTHING, MESSAGES)
    rows = (
        (
            cell.link.name,
            *(_spread(cell.call.get(name), 1000) for name in everyone),
            _ratio(cell.call[PLUGIN], cell.call[BARE]),
            _ratio(cell.call[FRESH], cell.call[PLUGIN]),
        )
        for cell in results.cells
        if cell.callers == 1
    )
    ratios = (f"{PLUGIN} / {BARE}", f"{FRESH} / {PLUGIN}")
    return _table(("Link", *everyone, *ratios), rows)


def _many(results: Results) -> str:
    everyone = (PLUGIN, BARE, FRESH, NOTHING, MESSAGES)
    rows = (
        (
            _where(cell),
            str(cell.callers),
            *(_spread(cell.crowd.get(name), 1000) for name in everyone),
            _ratio(cell.crowd[FRESH], cell.crowd[PLUGIN]),
        )
        for cell in results.cells
        if cell.callers > 1
    )
    return _table(("Link", "Callers", *everyone, f"{FRESH} / {PLUGIN}"), rows)


def _where(cell: Cell) -> str:
    return f"{cell.link.name}, server takes {cell.thinking:g} s" if cell.thinking else cell.link.name


def _start(results: Results) -> str:
    rows = (
        (
            name,
            _spread(results.start[name], 1000),
            _spread(results.at_rest[name]),
        )
        for name in results.start
    )
    return _table(("", "Start to first heartbeat, ms", "At rest, MiB"), rows)


def _memory(results: Results) -> str:
    names = list(next(iter(results.memory.values())))
    rows = ((moment, *(f"{found[name]:.1f}" for name in names)) for moment, found in results.memory.items())
    return _table(("MiB", *names), rows)


def _sizes(results: Results) -> str:
    names = list(results.sizes[0].call)
    rows = (
        (
            str(size.memories),
            f"{size.reply_bytes / 1024:.1f}",
            f"{size.message_bytes / 1024:.1f}",
            *(_spread(size.call[name], 1000) for name in names),
            f"{size.resident:.1f}",
        )
        for size in results.sizes
    )
    return _table(("Memories", "Reply, KiB", "Messages, KiB", *names, "Memory, MiB"), rows)


def _keys(results: Results) -> str:
    rows = (
        (f"{keys.count:,}", _spread(keys.call, 1000), f"{keys.resident:.1f}", str(keys.connections))
        for keys in results.keys
    )
    return _table(("Credentials", "A call, ms", "Memory, MiB", "Connections opened"), rows)


def _teams(results: Results) -> str:
    rows = (
        (
            f"{team.thinking:g} s",
            str(team.callers),
            str(len(team.rates)),
            ", ".join(f"{rate:.0f}" for rate in team.rates),
            f"{sum(team.rates):.0f}",
            f"{1000 * team.processor:.2f}",
        )
        for team in results.teams
    )
    titles = (
        "Server takes",
        "Callers of each",
        "Processes",
        "Calls/s of each",
        "Calls/s in all",
        "CPU ms a call",
    )
    return _table(titles, rows)


def _own_code(results: Results) -> str:
    rows = [
        (f"*{step.name}*" if step.is_part else step.name, _spread(step.seconds, 1e6))
        for step in results.own_code
    ]
    return _table(("Step", "µs"), [*rows, ("**In all**", f"**{1e6 * in_all(results.own_code):.0f}**")])


def _ratio(one: Spread, other: Spread) -> str:
    return f"{one.median / other.median:.2f}"


def _spread(spread: Spread | None, factor: float = 1) -> str:
    if spread is None:
        return ""
    median, low, high = (_number(factor * value) for value in (spread.median, spread.low, spread.high))
    return f"{median} [{low}, {high}]"


def _number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - as said


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
