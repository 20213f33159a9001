"""The run: each competitor on each link, and new processes of the plugin beside those of an empty one."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, cast

from bench.competitors import BARE, EMPTY, FRESH, PLUGIN, BareClient, write_plugin
from bench.fake_memos import ROUND_TRIPS, SLOW
from bench.plugin_driver import PluginDriver
from sandbox.plugin_process import REPOSITORY

START, AT_REST, UNDER_LOAD = "Start, s", "Memory at rest, MiB", "Memory under load, MiB"

type Figures = dict[str, list[float]]
"""What was measured of each competitor."""

type Calls = dict[tuple[str, int], Figures]
"""Milliseconds until all calls had their answer, by link and number of calls at once."""

type Processes = dict[str, Figures]
"""Start and memory of new processes, by the names above."""


def measure(turns: int, crowds: tuple[int, ...]) -> tuple[Calls, Processes]:
    """Measure calls, one and `crowds` of them at once, and start and memory, in so many turns.

    Raises:
        RuntimeError: A process died, or a call failed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trusted = folder / "authority.pem"
        command = [sys.executable, "-m", "bench.fake_memos", str(trusted)]
        server = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        urls = json.loads(cast("IO[bytes]", stack.enter_context(server).stdout).readline())
        roots = {name: write_plugin(name, folder / name) for name in (EMPTY, FRESH)} | {PLUGIN: REPOSITORY}
        processes = _measure_processes(roots, trusted, urls[SLOW], crowds[-1], turns)
        competitors: dict[str, BareClient | PluginDriver] = {BARE: BareClient(trusted)}
        for name, root in roots.items():
            competitors[name] = stack.enter_context(closing(PluginDriver(root, trusted)))
        calls: Calls = {}
        for link, url in urls.items():
            for at_once in crowds if link == SLOW else (1, *crowds):
                print(f"{link}, {at_once} at once", file=sys.stderr)
                # A turn of one caller takes about 0.2 s.
                count = round(0.2 / (ROUND_TRIPS.get(link) or 0.002)) if at_once == 1 else 1
                calls[link, at_once] = _measure_calls(competitors, url, at_once, count, turns)
    return calls, processes


def _measure_processes(
    roots: Mapping[str, Path], certificate: Path, url: str, at_once: int, turns: int
) -> Processes:
    found: Processes = {name: {PLUGIN: [], EMPTY: []} for name in (START, AT_REST, UNDER_LOAD)}
    for turn in range(turns + 1):
        for name in (PLUGIN, EMPTY):
            with closing(PluginDriver(roots[name], certificate)) as process:
                at_rest = process.memory("VmRSS")
                # The first process compiles its modules, and is not counted.
                process.serve(url, at_once if turn else 1)
                figures = (process.start_seconds, at_rest, process.memory("VmHWM"))
            for row, figure in zip(found.values(), figures, strict=True):
                row[name] += [figure] if turn else []
    return found


def _measure_calls(
    competitors: Mapping[str, BareClient | PluginDriver], url: str, at_once: int, count: int, turns: int
) -> Figures:
    names = list(competitors)
    found: Figures = {name: [] for name in names}
    for turn in range(turns + 1):
        # Who comes first changes: whoever comes next finds the processor's caches full of it.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            # The first turn opens connections, and is not counted.
            times = range(count if turn else 1)
            milliseconds = [1000 * competitors[name].serve(url, at_once) for _ in times]
            found[name] += milliseconds if turn else []
    return found
