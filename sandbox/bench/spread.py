"""The median of what was measured, and how far it spreads."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """Median, tenth and ninetieth percentile."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Summarise values, at least one."""
        known = list(values)
        deciles = statistics.quantiles(known, n=10, method="inclusive") if len(known) > 1 else known * 9
        return cls(statistics.median(known), deciles[0], deciles[8])
