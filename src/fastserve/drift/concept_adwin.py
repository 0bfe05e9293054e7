"""ADWIN: a window over a stream that keeps as much of the past as still looks like the present.

Idea (Bifet & Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007): if any
cut of the window leaves an older and a newer part whose means differ by more than chance allows,
the stream has changed, and the older part is dropped. Chance is bounded, for values in [0, 1] and
parts of n0 and n1 values, by

    eps = sqrt(2/m * var * ln(2/d)) + 2/(3m) * ln(2/d),   1/m = 1/n0 + 1/n1,   d = delta / ln(n)

so that, while nothing changes, a check finds a change with probability delta at most (theorem 3.1;
the variance form is that of section 4, an approximation by the central limit theorem).

Memory: the window is kept as an exponential histogram: at most 5 buckets of each size 1, 2, 4, ...
blocks; two of the oldest of a size are joined when there is a sixth. So a window of n values costs
5 * log2(n / 32) buckets, and only the cuts between buckets are tried.

What differs here: a block is 32 values, not one. The paper's own implementation looks for cuts only
at every 32nd value, so a change is found at the same values with a fraction of the work; only cuts
inside the newest blocks are lost, where too few values lie to prove anything.

Rejected: the implementation in river 0.26, a fine one, which brings scipy (140 MB) for a server
that needs none of it; it is the oracle of the tests.
"""

import math
from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 32
_BUCKETS_PER_SIZE: Final = 5
# Of a window; at a million labels a day it spans weeks. Beyond it the oldest bucket is dropped.
_MOST_SIZES: Final = 24


class Change(NamedTuple):
    """A change that a detector found: the values before it and after it."""

    mean_before: float
    mean_after: float
    # Values since the change, as the detector places it.
    after: int

    @property
    def is_worse(self) -> bool:
        return self.mean_after > self.mean_before


class _Bucket(NamedTuple):
    total: float
    # Of the values' squares.
    square: float


class Adwin:
    """Detects changes of the mean of values in [0, 1], either way. Thread: one at a time."""

    def __init__(self, delta: float = 0.002) -> None:
        """`delta`: the chance that one check finds a change where there is none."""
        self._delta = delta
        # By size: buckets of BLOCK * 2**i values, the oldest first.
        self._sizes: list[deque[_Bucket]] = [deque()]
        self._waiting = np.empty(0)
        # Of the window.
        self._rows = 0
        self._total = 0.0
        self._square = 0.0

    @property
    def width(self) -> int:
        """Values in the window, whole blocks alone."""
        return self._rows

    def add(self, values: NDArray[np.float64]) -> list[Change]:
        """Takes values in their order; the changes that they showed. Shape: [n]."""
        pending = np.concatenate([self._waiting, values])
        blocks = len(pending) // BLOCK
        changes: list[Change] = []
        whole = pending[: blocks * BLOCK].reshape(blocks, BLOCK)
        totals, squares = whole.sum(axis=1).tolist(), (whole * whole).sum(axis=1).tolist()
        for total, square in zip(totals, squares, strict=True):
            self._insert(_Bucket(total, square))
            change = self._cut()
            if change is not None:
                changes.append(change)
        self._waiting = pending[blocks * BLOCK :]
        return changes

    def _insert(self, bucket: _Bucket) -> None:
        self._count(bucket, BLOCK)
        self._sizes[0].append(bucket)
        for level, buckets in enumerate(self._sizes):
            if len(buckets) <= _BUCKETS_PER_SIZE:
                return
            if level + 1 == _MOST_SIZES:
                self._count(buckets.popleft(), BLOCK << level, sign=-1)
                return
            if level + 1 == len(self._sizes):
                self._sizes.append(deque())
            one, two = buckets.popleft(), buckets.popleft()
            self._sizes[level + 1].append(_Bucket(one.total + two.total, one.square + two.square))

    def _cut(self) -> Change | None:
        """Drops the oldest buckets while a cut shows a change; the change, if there was one."""
        found: Change | None = None
        while (change := self._first_cut()) is not None:
            # The level before is that of the whole past; the level after is the last one seen.
            found = change if found is None else change._replace(mean_before=found.mean_before)
            self._drop_oldest()
        return found

    def _first_cut(self) -> Change | None:
        """The cut nearest to the past whose parts differ by more than chance."""
        if self._rows < 2 * BLOCK:
            return None
        levels = range(len(self._sizes) - 1, -1, -1)
        counts = [len(self._sizes[level]) for level in levels]
        sizes = np.repeat([BLOCK << level for level in levels], counts)[:-1]
        totals = [bucket.total for level in levels for bucket in self._sizes[level]][:-1]
        old_rows, old_total = np.cumsum(sizes), np.cumsum(totals)
        new_rows = self._rows - old_rows
        before, after = old_total / old_rows, (self._total - old_total) / new_rows
        inverse = 1 / old_rows + 1 / new_rows
        mean = self._total / self._rows
        variance = max(self._square / self._rows - mean * mean, 0.0)
        limit = math.log(2 * math.log(self._rows) / self._delta)
        allowed = np.sqrt(2 * variance * limit * inverse) + 2 / 3 * limit * inverse
        cuts = np.flatnonzero(np.abs(before - after) > allowed)
        if not len(cuts):
            return None
        place = cuts[0]
        return Change(float(before[place]), float(after[place]), int(new_rows[place]))

    def _drop_oldest(self) -> None:
        self._count(self._sizes[-1].popleft(), BLOCK << (len(self._sizes) - 1), sign=-1)
        while len(self._sizes) > 1 and not self._sizes[-1]:
            self._sizes.pop()

    def _count(self, bucket: _Bucket, rows: int, *, sign: int = 1) -> None:
        self._rows += sign * rows
        self._total += sign * bucket.total
        self._square += sign * bucket.square
