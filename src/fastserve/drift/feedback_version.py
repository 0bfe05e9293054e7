"""The live quality of one version: windows, detectors, and the alarms that follow from them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastserve.drift.alarm import Alarm, Window
from fastserve.drift.concept import ConceptChange, ConceptWatch
from fastserve.drift.fairness import gaps
from fastserve.drift.feedback_segments import rows_by_segment
from fastserve.drift.quality_alarms import judge_window
from fastserve.drift.quality_classification import ClassificationSums, JudgedRows
from fastserve.drift.quality_regression import RegressionSums
from fastserve.drift.quality_windows import ALL, QualityWindow, QualityWindows, Sums
from fastserve.model_config import FeedbackConfig

# Judged windows whose measures are kept.
HISTORY: Final = 24


class VersionQuality:
    """Of one version of a model. Thread: one at a time."""

    def __init__(
        self,
        model: str,
        version: int,
        config: FeedbackConfig,
        make: Callable[[], Sums],
    ) -> None:
        self.model = model
        self.version = version
        self.config = config
        self.windows: QualityWindows = QualityWindows(make)
        self._make = make
        self.concept = ConceptWatch(is_bounded=isinstance(make(), ClassificationSums))
        self.labels = 0
        # Of all labels, those that say that the class was another one; numbers are never wrong.
        self.wrong = 0
        # Measures of the last windows that were judged, oldest first.
        self.history: deque[dict[str, float]] = deque(maxlen=HISTORY)

    def add(
        self, rows: JudgedRows | NDArray[np.float64], segments: Sequence[str] | None, now: float
    ) -> Iterator[Alarm]:
        """Judged rows in the order of their labels: classes, or errors of numbers.

        `segments`: the name of each row's, or None where the model has none. After `roll(now)`.
        """
        minute = self.windows.minute(now)
        self._add(minute, ALL, rows)
        if segments is not None:
            for name, places in rows_by_segment(segments).items():
                self._add(minute, name, _taken(rows, places))
        errors = (
            (rows.truth != rows.predicted).astype(np.float64)
            if isinstance(rows, JudgedRows)
            else np.abs(rows)
        )
        self.labels += len(errors)
        if isinstance(rows, JudgedRows):
            self.wrong += int(errors.sum())
        for change in self.concept.add(errors):
            yield self._concept_alarm(change, now)

    def roll(self, now: float) -> Iterator[Alarm]:
        """Closes the windows that are over; what the judged one says."""
        for length, window in self.windows.roll(now):
            # One with fewer labels says nothing, and clears nothing.
            if length == self.config.window_seconds and window.rows >= self.config.minimum_labels:
                measures = window.sums[ALL].measures() | self.gaps(window)
                self.history.append(measures)
                version = (self.model, self.version)
                yield from judge_window(window, measures, self.config, version, now)

    @property
    def shown(self) -> QualityWindow | None:
        """The window that metrics show."""
        return self.windows.shown(self.config.window_seconds)

    def gaps(self, window: QualityWindow) -> dict[str, float]:
        """Between the segments of a window, by measure; empty for numbers."""
        groups = {
            name: sums
            for name, sums in window.sums.items()
            if name != ALL and isinstance(sums, ClassificationSums)
        }
        return gaps(groups, self.config.minimum_labels)

    def _add(
        self, window: QualityWindow, name: str, rows: JudgedRows | NDArray[np.float64]
    ) -> None:
        sums = window.of(name, self._make)
        if isinstance(sums, ClassificationSums):
            assert isinstance(rows, JudgedRows)  # noqa: S101 - both come from one task
            sums.add(rows)
        else:
            assert isinstance(sums, RegressionSums)  # noqa: S101 - likewise
            assert not isinstance(rows, JudgedRows)  # noqa: S101 - likewise
            sums.add(rows)

    def _concept_alarm(self, found: ConceptChange, now: float) -> Alarm:
        change = found.change
        return Alarm(
            kind="concept",
            model=self.model,
            version=self.version,
            subject=found.detector,
            is_raised=found.is_raised,
            score=change.mean_after,
            threshold=change.mean_before,
            # Detectors know labels, not time.
            window=Window(now, now, change.after),
            evidence={
                "mean_error_before": change.mean_before,
                "mean_error_after": change.mean_after,
                "labels_since_change": change.after,
            },
            time=now,
        )


def _taken(
    rows: JudgedRows | NDArray[np.float64], places: NDArray[np.intp]
) -> JudgedRows | NDArray[np.float64]:
    return rows.take(places) if isinstance(rows, JudgedRows) else rows[places]
