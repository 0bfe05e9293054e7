"""Guards over quantiles of latency: is the candidate's p99 so many times the baseline's?

Asked of buckets: a duration is fixed, one of their bounds, that the baseline exceeded about as
often as the quantile says in the first seconds of the step; from then on both arms' requests that
exceed it are counted. Whether they are alike in that is asked of a RateInterval: answers within a
second are alike, and one request is no unit of evidence.

How much slower, as a ratio, is read off the histograms: the candidate's duration that as many
exceed as exceed the fixed one in the baseline. A fail wants that ratio to reach the limit, and the
interval of the difference to be above nothing. A pass wants even the upper end of the interval to
be less than what a baseline slower by the limit would show.
"""

import math
from collections.abc import Sequence
from typing import Final

from fastserve.routing.evidence import CountPool, Minute, Pair
from fastserve.routing.guard import GuardReport, Levels, Verdict, known
from fastserve.routing.histogram import DurationHistogram, beyond
from fastserve.routing.sequential import ArmCount, Interval, RateInterval

# The duration is fixed when the baseline had so many requests beyond the quantile, and seconds.
_TAIL_REQUESTS: Final = 10
_FIRST_SECONDS: Final = 5


class LatencyGuard:
    """One quantile of both arms."""

    def __init__(
        self, quantile: float, limit: float, levels: Levels, bounds: Sequence[float]
    ) -> None:
        """`limit`: a ratio, above 1. `bounds`: of the buckets, in seconds."""
        self._name = f"latency_p{quantile * 100:g}"
        self._share = 1 - quantile
        self._limit = limit
        self._levels = levels
        self._first = DurationHistogram(bounds)
        self._seconds = 0
        self._candidate = DurationHistogram(bounds)
        self._baseline = DurationHistogram(bounds)
        self._pool = CountPool()
        self._interval = RateInterval()
        # Of the bound that stands for the quantile; None until it is fixed.
        self._index: int | None = None

    def add(self, pair: Pair) -> None:
        candidate, baseline = pair.candidate.durations, pair.baseline.durations
        if self._index is None:
            self._learn(baseline)
            return
        self._candidate.add(candidate)
        self._baseline.add(baseline)
        pooled = self._pool.add(
            ArmCount(sum(candidate), beyond(candidate, self._index)),
            ArmCount(sum(baseline), beyond(baseline, self._index)),
        )
        if pooled is not None:
            self._interval.add(*pooled)

    def _learn(self, durations: Sequence[int]) -> None:
        self._first.add(durations)
        self._seconds += any(durations)
        if self._seconds >= _FIRST_SECONDS and self._first.count >= self._wanted:
            self._index = self._first.bound_near(self._share)

    @property
    def _wanted(self) -> int:
        return math.ceil(_TAIL_REQUESTS / self._share)

    def add_minutes(self, candidate: Sequence[Minute], baseline: Sequence[Minute]) -> None:
        """Nothing of them is asked."""

    def reports(self) -> list[GuardReport]:
        if self._index is None:
            missing = max(0, self._wanted - self._first.count)
            wanted = f"{missing} more requests" if missing else "some seconds more"
            return [self._unknown(f"{wanted} of the baseline, to know its {self._name}")]
        found = self._interval.interval(self._levels.passing)
        surest = self._interval.interval(self._levels.fail)
        if found is None or surest is None:
            return [self._unknown(f"requests of both arms to compare their {self._name}")]
        return [self._compared(self._index, found, surest)]

    def _unknown(self, awaited: str) -> GuardReport:
        requests = self._interval.requests
        return GuardReport(
            name=self._name,
            verdict=Verdict.HOLD,
            limit=self._limit,
            candidate_requests=requests[0],
            baseline_requests=requests[1],
            awaited=awaited,
            text=f"{self._name}: not known yet, may be {self._limit:g} times the baseline's",
        )

    def _compared(self, index: int, found: Interval, surest: Interval) -> GuardReport:
        bound = self._baseline.bound(index)
        share = self._interval.rates[1]
        ratio = self._candidate.quantile_beyond(share) / self._baseline.quantile_beyond(share)
        # As much slower as the baseline would have to be, to exceed the bound so much more often.
        lower, upper = (
            bound / self._baseline.quantile_beyond(min(1.0, max(0.0, share + each)))
            for each in (found.lower, found.upper)
        )
        verdict, awaited = Verdict.HOLD, ""
        if surest.lower > 0 and ratio >= self._limit:
            verdict = Verdict.FAIL
        elif upper <= self._limit and ratio < self._limit:
            verdict = Verdict.PASS
        else:
            awaited = (
                f"{self._name}: requests until it is known to be below {self._limit:g} times the "
                f"baseline's, it may be {max(upper, ratio):.3g} times"
            )
        requests = self._interval.requests
        return GuardReport(
            name=self._name,
            verdict=verdict,
            value=known(ratio),
            lower=known(min(lower, ratio)),
            upper=known(max(upper, ratio)),
            limit=self._limit,
            candidate_requests=requests[0],
            baseline_requests=requests[1],
            awaited=awaited,
            text=(
                f"{self._name}: {ratio:.3g} times the baseline's, may be {self._limit:g} times; "
                f"{self._interval.rates[0]:.2%} of its answers take over {bound * 1000:g} ms, "
                f"{share:.2%} of the baseline's"
            ),
        )
