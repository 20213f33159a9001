"""What a run of the benchmarks finds: seconds and MiB, by who was measured."""

from dataclasses import dataclass

from sandbox.bench.links import Link
from sandbox.bench.own_code import Step
from sandbox.bench.spread import Spread


@dataclass(frozen=True)
class Cell:
    """Calls over one link to a server that thinks for `thinking` seconds."""

    link: Link
    thinking: float
    callers: int
    call: dict[str, Spread]
    """Seconds of one call."""
    crowd: dict[str, Spread]
    """Seconds until all callers, who began together, had their answer."""


@dataclass(frozen=True)
class Size:
    """Searches that find `memories` memories."""

    memories: int
    reply_bytes: int
    message_bytes: int
    call: dict[str, Spread]
    """Seconds of one call."""
    resident: float
    """MiB that a process of this plugin held afterwards."""


@dataclass(frozen=True)
class Keys:
    """Searches with `count` credentials in turn, in one process of this plugin."""

    count: int
    call: Spread
    """Seconds of one call."""
    resident: float
    """MiB that the process held afterwards."""
    connections: int
    """How many it had opened until then."""


@dataclass(frozen=True)
class Team:
    """Processes of this plugin side by side, each under the load of `callers` callers."""

    thinking: float
    callers: int
    rates: list[float]
    """Calls a second, of each process."""
    processor: float
    """Seconds of processor time for a call."""


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    cells: list[Cell]
    first_crowd: Spread
    """Seconds until 500 callers had their answer from a slow server, when the process had just started."""
    connections: dict[str, tuple[int, int]]
    """Calls of one caller, and the connections that they took."""
    start: dict[str, Spread]
    """Seconds from a process's begin to its first heartbeat."""
    at_rest: dict[str, Spread]
    """MiB of a process that was never called."""
    memory: dict[str, dict[str, float]]
    """MiB under load, by moment."""
    sizes: list[Size]
    keys: list[Keys]
    teams: list[Team]
    own_code: list[Step]
    seconds: float
    """That measuring took."""

    def cell(self, round_trip: float | None, callers: int, thinking: float = 0) -> Cell:
        """The cell that was measured there."""
        wanted = (round_trip, callers, thinking)
        [cell] = [
            cell for cell in self.cells if (cell.link.round_trip, cell.callers, cell.thinking) == wanted
        ]
        return cell
