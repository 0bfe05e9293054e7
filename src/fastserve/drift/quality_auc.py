"""The area under the ROC curve from two histograms of scores: fixed memory, exact to merge.

Idea: AUC is the share of pairs (positive, negative) in which the positive has the higher score,
ties counting half (Hanley & McNeil, Radiology 1982). With the scores of each class in a histogram
the pairs of different bins are counted exactly; those that share a bin count half. So the error is
at most half of the share of pairs that share a bin, and that share is known: it is given with the
value, as `error`. Two histograms of the same bins add up, so windows and replicas merge without any
further error.

Bins: equal steps of the log-odds, since models crowd near 0 and 1 where equal steps of the
probability would see one bin. 1,024 bins over log-odds of -18 to 18, 1.5e-8 from 0 and 1: a step is
less than 0.9 % of a probability at 0.5, and 3.5 % of its distance from 0 or 1 at the ends. Scores
that are no probabilities are binned by their own value on the same scale.

Rejected: a reservoir (an error of 1/sqrt(size) that merging does not shrink), a quantile sketch of
each class (its rank error of 1.3 % is larger than that of these bins).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 1024
_LIMIT: Final = 18.0


class ScoreHistograms:
    """Scores of positives and of negatives. 16 KB. Thread: one at a time."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, BINS), np.int64)

    def add(self, scores: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> None:
        """Shapes: [n], [n]."""
        places = _bins_of(scores) + np.where(is_positive, BINS, 0)
        self.counts += np.bincount(places, minlength=2 * BINS).reshape(2, BINS)

    def merge(self, other: "ScoreHistograms") -> None:
        self.counts += other.counts

    def area(self) -> tuple[float, float]:
        """(AUC, most that it can be wrong by); NaN without scores of both classes."""
        negatives, positives = self.counts.astype(np.float64)
        pairs = negatives.sum() * positives.sum()
        if not pairs:
            return float("nan"), float("nan")
        below = np.cumsum(negatives) - negatives
        shared = float(positives @ negatives)
        won = float(positives @ below)
        return (won + shared / 2) / pairs, shared / 2 / pairs


def _bins_of(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    if scores.size and scores.min() >= 0 and scores.max() <= 1:
        with np.errstate(divide="ignore"):
            scores = np.log(scores) - np.log1p(-scores)
    places = (np.clip(scores, -_LIMIT, _LIMIT) + _LIMIT) * (BINS / (2 * _LIMIT))
    return np.minimum(places.astype(np.int64), BINS - 1)
