"""Two servers under the same load, in turns, so that what disturbs the machine disturbs both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from fastserve.bench.distribution import merged
from fastserve.bench.result import LoadResult

_RESAMPLES: Final = 5000
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Ratio:
    """A ratio with its confidence interval of 95 %."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        return {"ratio": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Comparison:
    """The rounds of both servers, of the first and of the second; interrupted, those complete."""

    first: list[LoadResult]
    second: list[LoadResult]
    is_interrupted: bool = False

    def ratios(self) -> dict[str, Ratio]:
        """Second over first: of the median and p99 latencies, of the rates."""
        return {
            "p50": ratio_of(*self._columns(lambda r: r.latency.percentile(50))),
            "p99": ratio_of(*self._columns(lambda r: r.latency.percentile(99))),
            "requests_per_second": ratio_of(*self._columns(lambda r: r.requests_per_second)),
        }

    def as_dict(self) -> dict[str, Any]:
        return {
            "confidence": _CONFIDENCE,
            "rounds": len(self.first),
            "interrupted": self.is_interrupted,
            "second_over_first": {name: r.as_dict() for name, r in self.ratios().items()},
            "first": _summary(self.first),
            "second": _summary(self.second),
        }

    def _columns(self, of: Callable[[LoadResult], float]) -> tuple[list[float], list[float]]:
        return [of(each) for each in self.first], [of(each) for each in self.second]


def compare(
    first: Callable[[], LoadResult], second: Callable[[], LoadResult], *, rounds: int
) -> Comparison:
    """Runs both `rounds` times, in the order A B, B A, A B: a drift of the machine cancels out.

    Ends with the round in which a load broke off, and before the one in which it was interrupted.
    """
    result = Comparison([], [])
    order = [(result.first, first), (result.second, second)]
    for _ in range(rounds):
        measured = []
        for results, run in order:
            measured.append((results, run()))
            if measured[-1][1].is_interrupted:
                return replace(result, is_interrupted=True)
        for results, each in measured:
            results.append(each)
        order.reverse()
        if result.first[-1].failure or result.second[-1].failure:
            break
    return result


def ratio_of(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Second over first: the geometric mean of the rounds' ratios.

    The interval is a bootstrap over the rounds, seeded: the answers of one round share what
    happened in it, so rounds are what is independent. NaN where a round has no value.
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=False) if a > 0 and b > 0]
    if not pairs or len(pairs) < len(first):
        return Ratio(float("nan"), float("nan"), float("nan"))
    logs = np.log([b / a for a, b in pairs])
    picks = np.random.default_rng(1).integers(0, len(logs), (_RESAMPLES, len(logs)))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(logs[picks].mean(axis=1), [tail, 1 - tail])
    return Ratio(float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high)))


def _summary(rounds: Sequence[LoadResult]) -> dict[str, Any]:
    return {
        "requests_per_second": [each.requests_per_second for each in rounds],
        "latency_ms": merged(each.latency for each in rounds).as_dict(),
        "errors": sum(each.errors for each in rounds),
    }
