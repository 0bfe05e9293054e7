"""Finds the knee: the highest offered rate at which a server keeps its p99."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastserve.bench.result import LoadResult

# The answer is within this share of the rate at which the target is missed.
_PRECISION: Final = 0.05
_MOST_STEPS: Final = 40
# Less than this share of what was offered was answered: the server falls behind, whatever its p99
# says of those that it answered.
_KEPT_UP: Final = 0.97


@dataclass(frozen=True)
class Target99:
    """What a step must keep."""

    p99_ms: float
    max_error_rate: float = 0.0


@dataclass(frozen=True)
class Step:
    """One rate that was tried, and why it failed; empty when it did not."""

    offered_per_second: float
    result: LoadResult
    problem: str


@dataclass(frozen=True)
class Sweep:
    """All steps in their order. `knee_per_second` 0: not even the first rate held.

    Interrupted, it has the steps that were complete, and the knee may lie above what they say.
    """

    target: Target99
    steps: list[Step]
    is_interrupted: bool = False

    @property
    def knee_per_second(self) -> float:
        """The highest rate that held."""
        return max((each.offered_per_second for each in self.steps if not each.problem), default=0)

    def as_dict(self) -> dict[str, Any]:
        return {
            "knee_per_second": self.knee_per_second,
            "p99_target_ms": self.target.p99_ms,
            "interrupted": self.is_interrupted,
            "steps": [
                {
                    "offered_per_second": step.offered_per_second,
                    "requests_per_second": step.result.requests_per_second,
                    "latency_ms": step.result.latency.as_dict(),
                    "error_rate": step.result.error_rate,
                    "problem": step.problem,
                }
                for step in self.steps
            ],
        }


def find_knee(
    probe: Callable[[float], LoadResult], target: Target99, *, first: float, last: float
) -> Sweep:
    """Doubles the rate from `first` until one misses the target twice, then halves the gap.

    `probe` offers a rate (requests per second) and returns what was measured; `last` bounds it. A
    load that broke off ends the sweep; one that was interrupted does too, and is no step.
    """
    steps: list[Step] = []
    low, high = 0.0, float("inf")
    rate = min(first, last)
    while len(steps) < _MOST_STEPS:
        result, problem = _ask(probe, rate, target)
        if result.is_interrupted:
            return Sweep(target, steps, is_interrupted=True)
        steps.append(Step(rate, result, problem))
        if result.failure:
            break
        if problem:
            high = rate
        else:
            low = rate
            if rate >= last:
                break
        # Nothing held yet: downwards by halves, to a hundredth of the first.
        if low == 0:
            rate = high / 2
            if rate < first / 100:
                break
        elif high == float("inf"):
            rate = min(rate * 2, last)
        elif high - low <= _PRECISION * high:
            break
        else:
            rate = (low + high) / 2
    return Sweep(target, steps)


def _ask(
    probe: Callable[[float], LoadResult], rate: float, target: Target99
) -> tuple[LoadResult, str]:
    result = probe(rate)
    problem = judge(rate, result, target)
    if problem and not result.failure and not result.is_interrupted:
        # Once more: a pause of the machine is no knee.
        result = probe(rate)
        problem = judge(rate, result, target)
    return result, problem


def judge(rate: float, result: LoadResult, target: Target99) -> str:
    """Why a step does not hold; empty when it does."""
    if result.failure:
        return result.failure
    if result.error_rate > target.max_error_rate:
        return f"{result.error_rate:.2%} of the requests failed"
    if not result.latency.count:
        return "nothing was measured; give a longer --duration"
    p99_ms = result.latency.percentile(99) / 1e6
    if p99_ms > target.p99_ms:
        return f"p99 is {p99_ms:.3g} ms"
    # Less four deviations of Poisson arrivals.
    expected = rate - 4 * math.sqrt(rate / max(result.seconds, 1e-9))
    if result.requests_per_second < _KEPT_UP * expected:
        return f"only {result.requests_per_second:.0f} requests/s were answered"
    return ""
