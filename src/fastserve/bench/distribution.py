"""Percentiles of durations that were counted by value."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

# Of every table and JSON document.
SHOWN: Final = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
# How far a told value may be from the true one, as a share of it: the core's histogram.
RELATIVE_ERROR: Final = 1 / 256


class Distribution:
    """Durations in nanoseconds with their counts."""

    def __init__(self, counts: Iterable[tuple[float, int]] = ()) -> None:
        self._counts = sorted(counts)
        self.count = sum(count for _, count in self._counts)

    def __iter__(self) -> Iterator[tuple[float, int]]:
        return iter(self._counts)

    def percentile(self, percent: float) -> float:
        """The smallest duration that `percent` of all do not exceed; 0 where there are none."""
        wanted = self.count * percent / 100
        seen = 0
        for value, count in self._counts:
            seen += count
            if seen >= wanted:
                return value
        return 0.0

    def share_above(self, limit: float) -> float:
        """How many of all exceed `limit` nanoseconds, 0 to 1."""
        above = sum(count for value, count in self._counts if value > limit)
        return above / self.count if self.count else 0.0

    @property
    def mean(self) -> float:
        total = sum(value * count for value, count in self._counts)
        return total / self.count if self.count else 0.0

    @property
    def largest(self) -> float:
        return self._counts[-1][0] if self._counts else 0.0

    def as_dict(self) -> dict[str, float]:
        """Milliseconds by name: mean, p50 to p99.99, max."""
        named = {"mean": self.mean}
        named |= {f"p{percent:g}": self.percentile(percent) for percent in SHOWN}
        named["max"] = self.largest
        return {name: value / 1e6 for name, value in named.items()}


def merged(parts: Iterable[Distribution]) -> Distribution:
    """All durations of all parts."""
    sums: Counter[float] = Counter()
    for part in parts:
        for value, count in part:
            sums[value] += count
    return Distribution(sums.items())
