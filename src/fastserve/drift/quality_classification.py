"""How good a classifier's answers were: counts that add up, and the measures that follow from them.

Definitions are those of scikit-learn, which the tests hold them to: macro precision and recall are
the mean over the classes that were predicted or true, where a class without any counts as 0; log
loss is -ln of the probability given to the true class, cut off at 2.2e-16. The calibration error is
the expected calibration error of Guo et al. ("On Calibration of Modern Neural Networks", ICML
2017): over 15 equal bins of the confidence, which is the highest probability of a row, the mean
distance between confidence and accuracy, by rows.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastserve.drift.quality_auc import ScoreHistograms

CALIBRATION_BINS: Final = 15
_LEAST_PROBABILITY: Final = float(np.finfo(np.float64).eps)
_NONE: Final = float("nan")

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


class JudgedRows(NamedTuple):
    """Rows with their labels. Classes are codes; what is not known is None. Shapes: [n]."""

    truth: Codes
    predicted: Codes
    # Of the true class, and of the likeliest one.
    true_probability: Floats | None = None
    confidence: Floats | None = None
    # Of the positive class, any monotone scale.
    positive_score: Floats | None = None

    def take(self, rows: NDArray[np.intp]) -> "JudgedRows":
        """Those rows."""

        def of(column: Floats | None) -> Floats | None:
            return None if column is None else column[rows]

        return JudgedRows(
            self.truth[rows],
            self.predicted[rows],
            of(self.true_probability),
            of(self.confidence),
            of(self.positive_score),
        )


class ClassificationSums:
    """What is left of any number of judged rows: 17 KB and 24 bytes a class.

    Thread: one at a time.
    """

    def __init__(self, positive: int | None) -> None:
        """`positive`: the code of the positive class, if there is one."""
        self.rows = 0
        self._positive = positive
        # By class: rows of which it is the truth, the answer, and both. The rest of a confusion
        # matrix grows with the square of the classes, and no measure asks for it.
        self.classes = np.zeros((3, 0), np.int64)
        self.scores = ScoreHistograms()
        self.log_loss = 0.0
        self.log_loss_rows = 0
        # By bin: rows, sum of confidence, right answers.
        self.calibration = np.zeros((3, CALIBRATION_BINS))

    def add(self, rows: JudgedRows) -> None:
        self.rows += len(rows.truth)
        right = rows.truth[rows.truth == rows.predicted]
        self._grow(int(max(rows.truth.max(initial=-1), rows.predicted.max(initial=-1))) + 1)
        for row, codes in enumerate((rows.truth, rows.predicted, right)):
            self.classes[row] += np.bincount(codes, minlength=self.classes.shape[1])
        if rows.positive_score is not None and self._positive is not None:
            self.scores.add(rows.positive_score, rows.truth == self._positive)
        if rows.true_probability is not None:
            cut = np.clip(rows.true_probability, _LEAST_PROBABILITY, 1)
            self.log_loss -= float(np.log(cut).sum())
            self.log_loss_rows += len(cut)
        if rows.confidence is not None:
            self._calibrate(rows.confidence, rows.truth == rows.predicted)

    def merge(self, other: "ClassificationSums") -> None:
        self.rows += other.rows
        self._grow(other.classes.shape[1])
        self.classes[:, : other.classes.shape[1]] += other.classes
        self.scores.merge(other.scores)
        self.log_loss += other.log_loss
        self.log_loss_rows += other.log_loss_rows
        self.calibration += other.calibration

    def measures(self) -> dict[str, float]:
        """By name; those that the rows cannot tell are NaN."""
        area, error = self.scores.area()
        precision, recall = self._macro()
        rates = self.rates()
        return {
            "accuracy": _share(int(self.classes[2].sum()), self.rows),
            "precision_macro": precision,
            "recall_macro": recall,
            "precision_positive": rates.precision,
            "recall_positive": rates.true_positive_rate,
            "auc": area,
            "auc_error": error,
            "log_loss": self.log_loss / self.log_loss_rows if self.log_loss_rows else _NONE,
            "calibration_error": self._calibration_error(),
        }

    def rates(self) -> "Rates":
        """How the positive class is given out; all NaN without one."""
        if self._positive is None:
            return Rates(_NONE, _NONE, _NONE, _NONE)
        truth, given, both = (0, 0, 0)
        if self._positive < self.classes.shape[1]:
            truth, given, both = self.classes[:, self._positive].tolist()
        return Rates(
            selection_rate=_share(given, self.rows),
            true_positive_rate=_share(both, truth),
            false_positive_rate=_share(given - both, self.rows - truth),
            precision=_share(both, given),
        )

    def _grow(self, classes: int) -> None:
        missing = classes - self.classes.shape[1]
        if missing > 0:
            self.classes = np.pad(self.classes, ((0, 0), (0, missing)))

    def _macro(self) -> tuple[float, float]:
        truth, given, both = self.classes
        classes = int(((truth > 0) | (given > 0)).sum())
        if not classes:
            return _NONE, _NONE
        precision = float((both / np.maximum(given, 1)).sum())
        recall = float((both / np.maximum(truth, 1)).sum())
        return precision / classes, recall / classes

    def _calibrate(self, confidence: Floats, is_right: NDArray[np.bool_]) -> None:
        # Bins are (a, b], as Guo et al. have them.
        bins = np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1
        bins = np.clip(bins, 0, CALIBRATION_BINS - 1)
        for row, weights in enumerate((None, confidence, is_right)):
            self.calibration[row] += np.bincount(bins, weights, CALIBRATION_BINS)

    def _calibration_error(self) -> float:
        rows, confidence, right = self.calibration
        total = rows.sum()
        return float(np.abs(confidence - right).sum() / total) if total else _NONE


class Rates(NamedTuple):
    """Shares of rows: answered positive; of the positive, and of the negative, answered so."""

    selection_rate: float
    true_positive_rate: float
    false_positive_rate: float
    precision: float


def _share(part: int, whole: int) -> float:
    return part / whole if whole else _NONE
