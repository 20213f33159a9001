"""The bounds that the plugin is held to, and the page and the picture of what was measured."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.competitors import BARE, EMPTY, FRESH, PLUGIN
from bench.fake_memos import HTTP, ROUND_TRIPS, SLOW
from bench.measure import START, UNDER_LOAD, Calls, Figures, Processes

_FAR = "TLS, 50 ms"
_TEMPLATE = (Path(__file__).parent / "page.md").read_text()
_PACKAGES = ("dify_plugin", "gevent", "requests", "urllib3")


def judge(calls: Calls, processes: Processes) -> list[Sequence[str]]:
    """Hold what was measured to the bounds: for each its name, the figure, the limit and the verdict."""
    crowd = max(at_once for _, at_once in calls)
    far, near, slow = calls[_FAR, 1], calls[HTTP, 1], calls[SLOW, crowd]
    start, load = processes[START], processes[UNDER_LOAD]
    bounds = [
        (f"One caller, {_FAR}: beside the {BARE}", median(far[PLUGIN]) / median(far[BARE]), 1.1, "times"),
        (f"One caller, {HTTP}: over the {EMPTY}", median(near[PLUGIN]) - median(near[EMPTY]), 1.5, "ms"),
        (f"{crowd} at once, {SLOW}", median(slow[PLUGIN]) / 1000, 1.8, "s"),
        (f"Memory under load of {crowd} such calls", median(load[PLUGIN]), 130, "MiB"),
        (f"Start: over the {EMPTY}", median(start[PLUGIN]) - median(start[EMPTY]), 0.15, "s"),
    ]
    return [
        (name, f"{figure:.4g} {unit}", f"at most {limit} {unit}", "holds" if figure <= limit else "BROKEN")
        for name, figure, limit, unit in bounds
    ]


def page(calls: Calls, processes: Processes, minutes: float) -> str:
    """Write the page, in Markdown."""
    versions = {"Python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
    of_calls = [
        (
            link,
            str(at_once),
            *_cells(figures, PLUGIN, BARE, FRESH, EMPTY),
            f"{median(figures[PLUGIN]) / median(figures[BARE]):.2f}",
            f"{median(figures[FRESH]) / median(figures[PLUGIN]):.2f}",
        )
        for (link, at_once), figures in calls.items()
    ]
    titles = ("Link", "At once", PLUGIN, BARE, FRESH, EMPTY, f"{PLUGIN} / {BARE}", f"{FRESH} / {PLUGIN}")
    of_processes = [(name, *_cells(figures, PLUGIN, EMPTY)) for name, figures in processes.items()]
    return _TEMPLATE.format(
        today=date.today(),  # noqa: DTZ011 - the reader's day
        minutes=minutes,
        cores=os.cpu_count(),
        versions=", ".join(map(" ".join, versions.items())),
        bounds=_table(("Bound", "Measured", "Limit", "Verdict"), judge(calls, processes)),
        calls=_table(titles, of_calls),
        processes=_table(("", PLUGIN, EMPTY), of_processes),
    )


def _cells(figures: Figures, *names: str) -> Iterable[str]:
    for name in names:
        values = sorted(figures[name])
        parts = median(values), values[len(values) // 10], values[len(values) * 9 // 10]
        middle, low, high = (f"{part:.3g}" if part < 1000 else f"{part:.0f}" for part in parts)  # noqa: PLR2004
        yield f"{middle} [{low}, {high}]"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *rows))


def draw(calls: Calls, file: Path) -> None:
    """Write the picture, in SVG: one caller at growing distance, and growing numbers of calls at once."""
    # Characters stay characters, which makes the file small.
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "benchmarks"}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    at_once = [number for link, number in calls if link == _FAR]
    for name in (FRESH, PLUGIN, BARE):
        alone = [median(calls[link, 1][name]) for link in ROUND_TRIPS]
        left.plot([1000 * seconds for seconds in ROUND_TRIPS.values()], alone, marker="o", label=name)
        right.plot(at_once, [median(calls[_FAR, number][name]) for number in at_once], marker="o")
    left.set(title="One caller, TLS", xlabel="round trip, ms", ylabel="ms for a call")
    right.set(title=_FAR, xlabel="calls at once", ylabel="ms until all have their answer")
    left.legend()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
