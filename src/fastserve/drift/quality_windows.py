"""Judged rows by time and segment: tumbling windows of a minute, five minutes, an hour and a day.

A window of length L begins where the seconds since the epoch are a multiple of L. A label belongs
to the minute in which it was joined, whenever its prediction was made: what is learned now changes
what is shown now, and a window that was closed stays as it was. Rows go into the minute's sums
alone; when its end has passed they are merged into the longer ones.

Memory: for each length two windows, for each of them one set of sums a segment, about 17 KB:
with 16 segments 2.5 MB a version.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

MINUTE: Final = 60
LENGTHS: Final = (MINUTE, 300, 3600, 86_400)
# The segment of all rows, and of rows whose value has no segment of its own.
ALL: Final = "all"
OTHER: Final = "other"


class Sums(Protocol):
    """ClassificationSums and RegressionSums."""

    rows: int

    def merge(self, other: Any) -> None:
        """`other` is of the same class."""

    def measures(self) -> dict[str, float]: ...


class QualityWindow(msgspec.Struct):
    """Sums by segment over [start, end). `end` of an open window is when it will be over."""

    start: float
    end: float
    sums: dict[str, Sums]

    @property
    def rows(self) -> int:
        return self.sums[ALL].rows if ALL in self.sums else 0

    def of(self, segment: str, make: Callable[[], Sums]) -> Sums:
        """The segment's sums, made if there are none."""
        found = self.sums.get(segment)
        if found is None:
            found = self.sums[segment] = make()
        return found


class QualityWindows:
    """The windows of one version. Thread: one at a time."""

    def __init__(self, make: Callable[[], Sums]) -> None:
        self._make = make
        self._open: dict[int, QualityWindow] = {}
        self._closed: dict[int, QualityWindow] = {}

    def minute(self, now: float) -> QualityWindow:
        """The open minute, to add rows to. After `roll(now)`."""
        return self._opened(MINUTE, now)

    def roll(self, now: float) -> list[tuple[int, QualityWindow]]:
        """Closes what is over by `now`, shortest first: (length, window). Empty ones are none.

        When the clock was set back, rows go to the minute that is open.
        """
        closed = []
        for length in LENGTHS:
            window = self._open.get(length)
            if window is None or window.end > now:
                continue
            del self._open[length]
            self._closed[length] = window
            closed.append((length, window))
            if length == MINUTE:
                self._merge_up(window)
        return closed

    def closed(self, length: int) -> QualityWindow | None:
        """The last one that is over."""
        return self._closed.get(length)

    def shown(self, length: int) -> QualityWindow | None:
        """The last one that is over; while there is none, the one that runs so far."""
        return self.closed(length) or self.running(length)

    def running(self, length: int) -> QualityWindow | None:
        """What has come of the open window, the open minute included; None without rows."""
        minute, window = self._open.get(MINUTE), self._open.get(length)
        if length == MINUTE or minute is None:
            return window
        start = minute.start // length * length
        merged = QualityWindow(start, start + length, {})
        parts = [minute] if window is None or window.start != start else [window, minute]
        _merge(merged, parts, self._make)
        return merged

    def _merge_up(self, minute: QualityWindow) -> None:
        for length in LENGTHS[1:]:
            _merge(self._opened(length, minute.start), [minute], self._make)

    def _opened(self, length: int, now: float) -> QualityWindow:
        window = self._open.get(length)
        if window is None:
            start = now // length * length
            window = self._open[length] = QualityWindow(start, start + length, {})
        return window


def _merge(into: QualityWindow, parts: Iterable[QualityWindow], make: Callable[[], Sums]) -> None:
    for part in parts:
        for segment, sums in part.sums.items():
            into.of(segment, make).merge(sums)
