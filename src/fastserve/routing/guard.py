"""What one guard says, and what every guard is asked."""

import math
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from fastserve.routing.evidence import Minute, Pair


class Verdict(StrEnum):
    """Of a guard, and of all of them together. Hold: not enough is known yet."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    HOLD = "hold"


class GuardReport(msgspec.Struct, frozen=True, kw_only=True):
    """One guard's word at one moment. Numbers that are not known yet are None.

    `value` is the effect, in the unit of `limit`; `lower` and `upper` hold the truth at all moments
    at once; `evidence` is what refutes that the arms are alike, as an e-value, None for guards that
    decide by their interval.
    """

    name: str
    verdict: Verdict
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    limit: float
    evidence: float | None = None
    candidate_requests: int = 0
    baseline_requests: int = 0
    # What is missing for a verdict; empty with one.
    awaited: str = ""
    # One line for people.
    text: str


def known(number: float) -> float | None:
    """For a report: JSON has no NaN and no infinity."""
    if math.isnan(number):
        return None
    return max(-sys.float_info.max, min(sys.float_info.max, number))


class Levels(msgspec.Struct, frozen=True):
    """How often a guard may be wrong within one step: in a fail, and in a pass."""

    fail: float
    passing: float


class Guard(Protocol):
    """Compares the arms of one step, from its beginning."""

    def add(self, pair: Pair) -> None:
        """One second of both arms."""

    def add_minutes(self, candidate: Sequence[Minute], baseline: Sequence[Minute]) -> None:
        """Finished minutes of the step, each once."""

    def reports(self) -> list[GuardReport]:
        """One for each thing that it compares; the same names in the same order each time."""
