"""A profile in the making: the next rows are collected until there are enough."""

from typing import NamedTuple

from fastserve._core import core
from fastserve.drift.profile import Origin


class FreezeState(NamedTuple):
    """How far it is."""

    rows: int
    wanted_rows: int


class Freeze:
    """Collects live rows of one version. Thread: one at a time."""

    def __init__(self, sketch: core.TableSketch, wanted_rows: int, source: str) -> None:
        self._sketch = sketch
        self._wanted_rows = wanted_rows
        self._source = source
        self._start = 0.0

    @property
    def state(self) -> FreezeState:
        return FreezeState(self._sketch.rows, self._wanted_rows)

    def add(
        self, sketch: core.TableSketch, start: float, end: float
    ) -> tuple[core.TableSketch, Origin] | None:
        """Takes what came between the two times; the profile's parts once there are enough rows.

        Whole windows are taken, so there may be more than were wanted.
        """
        if not self._sketch.rows:
            self._start = start
        self._sketch.merge(sketch)
        if self._sketch.rows < self._wanted_rows:
            return None
        origin = Origin(kind="freeze", source=self._source, start=self._start, end=end)
        return self._sketch, origin
