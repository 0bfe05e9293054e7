"""The segment of each row, by name: a bounded number of them, all others are "other"."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from fastserve._core import core
from fastserve.drift.feedback_segment_input import FEATURE
from fastserve.drift.feedback_tensors import rows_of, text_of, texts, width_of
from fastserve.drift.quality_windows import ALL, OTHER
from fastserve.model_config import FeedbackConfig

_LONGEST_NAME: Final = 64


class SegmentTable:
    """Of one model. Thread: one at a time."""

    def __init__(self, config: FeedbackConfig, most: int) -> None:
        """`most`: values that are told apart where the configuration names none."""
        self.is_used = bool(config.segment)
        feature = FEATURE.fullmatch(config.segment)
        self._name = config.segment
        self._index = int(feature["index"]) if feature else 0
        self._most = 0 if config.segments else most
        self._names = {text_of(value): _name(text_of(value)) for value in config.segments}

    def of(self, prediction: core.Prediction, rows: int) -> list[str]:
        """One name for each row; "other" for all where the prediction has no such input."""
        tensor = prediction.segment
        if tensor is None or rows_of(tensor) != rows:
            return [OTHER] * rows
        # An input may be called x[3] itself.
        index = 0 if tensor.name == self._name else self._index
        values = texts([tensor])
        width = width_of(tensor)
        if index >= width or len(values) != rows * width:
            return [OTHER] * rows
        return [self._of_value(value) for value in values[index::width]]

    def _of_value(self, value: str) -> str:
        name = self._names.get(value)
        if name is not None:
            return name
        if len(self._names) >= self._most:
            return OTHER
        return self._names.setdefault(value, _name(value))


def rows_by_segment(names: Sequence[str]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Places of each segment's rows."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return {name: np.array(rows, np.intp) for name, rows in places.items()}


def _name(value: str) -> str:
    """Fit for a metric's label, and none of ours."""
    text = "".join(c if c.isprintable() else "?" for c in value[:_LONGEST_NAME])
    return f"={text}" if text in (ALL, OTHER) else text or "(empty)"
