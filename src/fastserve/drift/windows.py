"""Windows: what was seen in the last minute, five minutes, hour, day. Tumbling, by the wall clock.

A window of length L begins where the seconds since the epoch are a multiple of L: hours begin at
the hour, days at midnight UTC, on every server alike. What the engine hands over each minute is
merged into the open window of each length; when a window's end has passed it is closed and
replaced.

A window in which no row came is a gap, not a window of zeros: it is never closed, judged or shown.

Memory: for each length at most two sketches, the open window and the last one that was closed, of
at most 4 KB a feature.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from fastserve._core import core

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
# What is kept beside the base window and the judged one.
STANDARD_LENGTHS: Final = (MINUTE, 5 * MINUTE, HOUR, DAY)


class SeenWindow(msgspec.Struct, frozen=True):
    """A window with at least one row. `end` is its last moment so far when it is still open."""

    length: int
    start: float
    end: float
    sketch: core.TableSketch
    is_open: bool = False

    @property
    def rows(self) -> int:
        return self.sketch.rows


def lengths_for(base: int, judged: int) -> tuple[int, ...]:
    """Those that are kept, ascending: all are multiples of `base`, as `judged` must be."""
    return tuple(sorted({base, judged, *(each for each in STANDARD_LENGTHS if each % base == 0)}))


class WindowLadder:
    """The windows of one version. Thread: one at a time."""

    def __init__(
        self, lengths: Iterable[int], make: Callable[[], core.TableSketch], now: float
    ) -> None:
        self._make = make
        self._open: dict[int, _Open | None] = dict.fromkeys(lengths)
        self._closed: dict[int, SeenWindow] = {}
        # Up to when everything was taken.
        self._taken = now

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(self._open)

    def add(self, now: float, sketch: core.TableSketch | None) -> list[SeenWindow]:
        """Takes what was seen since the last call; the windows that are over, shortest first.

        Rows belong to the window in which the stretch since the last call began: the call for a
        window's last minute comes a moment after its end. When the clock was set back they go to
        the window that is open, or to the one after the last: what is shown never goes back.
        """
        began, self._taken = min(self._taken, now), now
        closed: list[SeenWindow] = []
        for length in self._open:
            closed += self._close(length, began)
            if sketch is not None and sketch.rows:
                self._merge(length, began, sketch)
            closed += self._close(length, now)
        return closed

    def closed(self, length: int) -> SeenWindow | None:
        """The last one that is over."""
        return self._closed.get(length)

    def recent(self, length: int) -> SeenWindow | None:
        """Between one and two lengths, up to now: the last closed window and the open one.

        Without the closed one where a gap lies between. None when no row came in that time.
        """
        opened, closed = self._open[length], self._closed.get(length)
        if closed is not None and closed.end < _floor(self._taken, length):
            closed = None
        if opened is None:
            return closed
        sketch = opened.sketch.copy()
        start = opened.start
        if closed is not None and closed.end == start:
            sketch.merge(closed.sketch)
            start = closed.start
        return SeenWindow(length, start, max(self._taken, opened.start), sketch, is_open=True)

    def _close(self, length: int, now: float) -> list[SeenWindow]:
        opened = self._open[length]
        if opened is None or opened.start + length > now:
            return []
        window = SeenWindow(length, opened.start, opened.start + length, opened.sketch)
        self._open[length], self._closed[length] = None, window
        return [window]

    def _merge(self, length: int, at: float, sketch: core.TableSketch) -> None:
        opened = self._open[length]
        if opened is None:
            closed = self._closed.get(length)
            start = _floor(at, length) if closed is None else max(_floor(at, length), closed.end)
            opened = self._open[length] = _Open(start, self._make())
        opened.sketch.merge(sketch)


class _Open(msgspec.Struct):
    start: float
    sketch: core.TableSketch


def _floor(now: float, length: int) -> float:
    return now // length * length
