"""Labels held against their predictions: many at a time, each refused or judged by itself."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastserve._core import core
from fastserve.drift.feedback_classes import ClassTable
from fastserve.drift.feedback_label import InvalidLabel, Label, Value
from fastserve.drift.feedback_reading import Reading, prediction_rows
from fastserve.drift.feedback_tensors import floats, numbers, text_of, texts
from fastserve.drift.quality_classification import JudgedRows
from fastserve.model_config import FeedbackConfig

Floats = NDArray[np.float64]
# How far the probabilities of a row may be from 1 in sum.
_SUM_TOLERANCE: Final = 1e-3


class Pair(NamedTuple):
    """A label with its prediction. `place`: the label's among those that came with it."""

    place: int
    label: Label
    prediction: core.Prediction


class Classifier:
    """Judges classes. One for each model version. Thread: one at a time."""

    def __init__(self, config: FeedbackConfig, reading: Reading) -> None:
        """Errors: InvalidLabel where classes and scores do not fit one another."""
        self._reading = reading
        self._threshold = config.threshold
        declared = [str(name) for name in config.classes]
        columns = max(reading.width, 2) if reading.scores is not None else 0
        if declared and columns and len(declared) != columns:
            raise InvalidLabel(
                f"the prediction has {reading.width} scores a row, feedback.classes names "
                f"{len(declared)} classes"
            )
        self._has_names = bool(declared) and not any(
            name.lstrip("-").isdigit() for name in declared
        )
        self._table = ClassTable(declared)
        self._columns = declared or [str(column) for column in range(columns)]
        self._positive_name = self._find_positive(config, declared)
        # From the number of columns alone.
        self._is_guessed = config.positive_class is None and not declared

    def prepare(self, first: core.Prediction) -> int | None:
        """The code of the positive class. Before anything is judged."""
        answer = self._reading.answer
        if (
            answer is not None
            and first.outputs[answer].datatype == "BYTES"
            and not len(self._table)
        ):
            # Texts, and nobody said which column is which.
            self._columns = []
        # A class by its place among the names that were declared.
        self._is_place = (
            answer is not None and first.outputs[answer].datatype != "BYTES" and self._has_names
        )
        self._column_codes = self._table.codes(self._columns)
        if not self._columns and self._is_guessed:
            self._positive_name = None
        if self._positive_name is None:
            return None
        return self._table.code(self._positive_name)

    def check(self, label: Label) -> list[int]:
        """Codes of the true classes. Errors: InvalidLabel."""
        return self._table.list_codes([text_of(value) for value in label.values])

    def judge(self, pairs: Sequence[Pair], truth: NDArray[np.int64]) -> JudgedRows:
        """`truth`: of all rows, in order. Errors: ValueError when the outputs have other rows."""
        named = self._named(pairs)
        if named is not None and len(named) != len(truth):
            raise ValueError(len(named))
        if self._reading.scores is None:
            return JudgedRows(truth, named if named is not None else truth)
        tensors = [pair.prediction.outputs[self._reading.scores] for pair in pairs]
        scores = floats(tensors, self._reading.width)
        if not self._columns:
            assert named is not None  # noqa: S101 - there is no column without a name otherwise
            return JudgedRows(truth, named, confidence=_confidence(scores))
        return self._judge_scores(truth, named, scores)

    def _named(self, pairs: Sequence[Pair]) -> NDArray[np.int64] | None:
        answer = self._reading.answer
        if answer is None:
            return None
        tensors = [pair.prediction.outputs[answer] for pair in pairs]
        if not self._is_place:
            return self._table.codes(texts(tensors))
        places = numbers(tensors).astype(np.int64)
        if places.size and not 0 <= places.min() <= places.max() < len(self._table):
            raise InvalidLabel(
                f"the prediction is class {places.max()}, feedback.classes names {len(self._table)}"
            )
        return places

    def _judge_scores(
        self, truth: NDArray[np.int64], named: NDArray[np.int64] | None, scores: Floats
    ) -> JudgedRows:
        is_single = scores.shape[1] == 1
        if is_single:
            best = (scores[:, 0] >= self._threshold).astype(np.int64)
            # For order alone where it is no probability.
            scores = np.concatenate([1 - scores, scores], axis=1)
        else:
            best = scores.argmax(axis=1)
        predicted = self._column_codes[best] if named is None else named
        positive = self._column_of(self._positive_name)
        score = None if positive is None else scores[:, positive]
        confidence = _confidence(scores)
        if confidence is None:
            return JudgedRows(truth, predicted, positive_score=score)
        columns = np.full(len(self._table), -1)
        columns[self._column_codes] = np.arange(len(self._columns))
        own = columns[truth]
        given = scores[np.arange(len(truth)), own]
        return JudgedRows(truth, predicted, np.where(own < 0, 0.0, given), confidence, score)

    def _column_of(self, name: str | None) -> int | None:
        return self._columns.index(name) if name in self._columns else None

    def _find_positive(self, config: FeedbackConfig, declared: Sequence[str]) -> str | None:
        if config.positive_class is not None:
            return str(config.positive_class)
        if len(declared) == 2:  # noqa: PLR2004 - the second of two
            return declared[1]
        is_binary = not declared and self._reading.width in (1, 2)
        return self._columns[1] if is_binary else None


def check_rows(pair: Pair, reading: Reading) -> None:
    """Errors: InvalidLabel unless there is one value for each row."""
    rows = prediction_rows(pair.prediction, reading)
    if len(pair.label.values) != rows:
        values = len(pair.label.values)
        raise InvalidLabel(
            f"has {values} value{'s' if values > 1 else ''}, the request had {rows} "
            f"row{'s' if rows != 1 else ''}"
        )


def check_numbers(values: Sequence[Value]) -> list[float]:
    """Errors: InvalidLabel for a text."""
    for value in values:
        if isinstance(value, str):
            raise InvalidLabel("is a text, this model's answers are numbers")
    return [float(value) for value in values]


def _confidence(scores: Floats) -> Floats | None:
    """The highest probability of each row; None where the scores are none."""
    is_probability = (
        scores.size > 0
        and scores.min() >= 0
        and scores.max() <= 1 + _SUM_TOLERANCE
        and np.abs(scores.sum(axis=1) - 1).max() <= _SUM_TOLERANCE
    )
    return scores.max(axis=1) if is_probability else None
