"""How far a regressor's answers were from the truth: sums that add up, and their measures."""

import math

import numpy as np
from numpy.typing import NDArray


class RegressionSums:
    """What is left of any number of judged rows. Thread: one at a time."""

    def __init__(self) -> None:
        self.rows = 0
        self.absolute = 0.0
        self.square = 0.0
        self.signed = 0.0

    def add(self, errors: NDArray[np.float64]) -> None:
        """`errors`: predicted minus true, [n]."""
        self.rows += len(errors)
        self.absolute += float(np.abs(errors).sum())
        self.square += float(errors @ errors)
        self.signed += float(errors.sum())

    def merge(self, other: "RegressionSums") -> None:
        self.rows += other.rows
        self.absolute += other.absolute
        self.square += other.square
        self.signed += other.signed

    def measures(self) -> dict[str, float]:
        """By name; NaN without rows. `bias` is the mean error with its sign."""
        if not self.rows:
            return dict.fromkeys(("mae", "rmse", "bias"), float("nan"))
        return {
            "mae": self.absolute / self.rows,
            "rmse": math.sqrt(self.square / self.rows),
            "bias": self.signed / self.rows,
        }
