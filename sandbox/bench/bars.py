"""The bars that the plugin's speed and size are held to, each a ratio or a difference within one run."""

from dataclasses import dataclass

from sandbox.bench.campaign import CROWD, THINKING
from sandbox.bench.contestants import BARE, FRESH, NOTHING, PLUGIN
from sandbox.bench.own_code import in_all
from sandbox.bench.results import Results

_FAR = 0.05


@dataclass(frozen=True)
class Bar:
    """A bar, and what was measured; more is worse, unless it is `at_least`."""

    name: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    @property
    def words(self) -> tuple[str, str, str]:
        """What was measured, the limit, and the verdict."""
        border = "at least" if self.at_least else "at most"
        return (
            f"{self.measured:.4g} {self.unit}",
            f"{border} {self.limit:g} {self.unit}",
            "holds" if self.holds else "missed",
        )


def bars(results: Results) -> list[Bar]:
    """Hold the results to the bars."""
    far = results.cell(_FAR, 1).call
    near = results.cell(None, 1).call
    crowd = results.cell(None, CROWD, THINKING).crowd[PLUGIN]
    far_name = f"TLS, {1000 * _FAR:g} ms round trips, one caller"
    crowd_name = f"{CROWD} at once, a server that takes {THINKING:g} s"
    return [
        Bar(f"{far_name}: beside the {BARE}", far[PLUGIN].median / far[BARE].median, 1.06, "times"),
        Bar(
            f"{far_name}: faster than a {FRESH} per call",
            far[FRESH].median / far[PLUGIN].median,
            2.8,
            "times",
            at_least=True,
        ),
        Bar(
            f"HTTP on this machine, one caller: over the {NOTHING}",
            1000 * (near[PLUGIN].median - near[NOTHING].median),
            1.0,
            "ms",
        ),
        Bar("Own code for 12 memories", 1000 * in_all(results.own_code), 0.3, "ms"),
        Bar(f"{crowd_name}: until all have their answer", crowd.median, 1.8, "s"),
        Bar(f"{crowd_name}, right after the start", results.first_crowd.median, 1.8, "s"),
        Bar(
            "Start: over an empty plugin",
            results.start[PLUGIN].median - results.start[NOTHING].median,
            0.15,
            "s",
        ),
        Bar(
            "Memory at rest: over an empty plugin",
            results.at_rest[PLUGIN].median - results.at_rest[NOTHING].median,
            8,
            "MiB",
        ),
    ]
