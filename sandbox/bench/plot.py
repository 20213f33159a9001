"""Draws the two pictures of the page: one caller at growing distance, and growing numbers of callers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter

from sandbox.bench.contestants import BARE, FRESH, PLUGIN
from sandbox.bench.results import Results
from sandbox.bench.spread import Spread

_COLOURS = {FRESH: "#b8860b", PLUGIN: "#1f6feb", BARE: "#6e7781"}
_MARKERS = {FRESH: "s", PLUGIN: "o", BARE: "x"}
_FAR = 0.05


def draw(results: Results, file: Path) -> None:
    """Write both pictures as one SVG: the same bytes for the same results."""
    # Characters stay characters, which makes the file small.
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    alone = [cell for cell in results.cells if cell.callers == 1 and cell.link.round_trip is not None]
    _lines(left, [1000 * (cell.link.round_trip or 0) for cell in alone], [cell.call for cell in alone])
    left.set(title="One caller, over TLS", xlabel="round trip, ms", ylabel="ms for a call", ylim=0)
    left.legend(frameon=False)
    many = [cell for cell in results.cells if cell.link.round_trip == _FAR]
    # One caller's calls follow each other: only one of them is a crowd.
    crowds = [cell.call if cell.callers == 1 else cell.crowd for cell in many]
    _lines(right, [cell.callers for cell in many], crowds)
    right.set(
        title=f"Many callers, over TLS, {1000 * _FAR:g} ms round trips",
        xlabel="callers at once",
        ylabel="ms until all have their answer",
        xscale="log",
        yscale="log",
    )
    right.set_xticks([cell.callers for cell in many])
    for axis in (right.xaxis, right.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    right.minorticks_off()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


def _lines(axes: Axes, positions: Sequence[float], spreads: Sequence[Mapping[str, Spread]]) -> None:
    for name, colour in _COLOURS.items():
        found = [spread[name] for spread in spreads]
        low, high = [1000 * one.low for one in found], [1000 * one.high for one in found]
        axes.fill_between(positions, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            positions,
            [1000 * one.median for one in found],
            label=name,
            color=colour,
            marker=_MARKERS[name],
            markersize=4,
        )
