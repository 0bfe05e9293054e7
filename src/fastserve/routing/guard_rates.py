"""Guards over shares of requests: errors, wrong labels, mismatches of the shadow.

A fail wants two things at once: evidence that the candidate's share is larger at all, and a share
that is larger by the limit. The second is an estimate; the first keeps chance from deciding. So a
difference that is certain and does not matter is no fail, nor is a large one seen in ten requests.

A pass wants the whole interval of the difference below the limit: that enough was seen to know
that it is not larger. Silence is never a pass.
"""

from collections.abc import Sequence
from typing import Final

from fastserve.routing.evidence import CountPool, Minute, Pair
from fastserve.routing.guard import GuardReport, Levels, Verdict, known
from fastserve.routing.sequential import ArmCount, RateInterval, RatioTest

# A batch, a pause, a dependency that hiccups: one second with many errors is one event.
MIN_FAULTY_SECONDS: Final = 3


class RateGuard:
    """Is a share larger in the candidate, by `limit` or more? Two arms, request by request."""

    def __init__(self, name: str, what: str, limit: float, levels: Levels) -> None:
        """`what`: how people call the share, as "errors"."""
        self._name = name
        self._what = what
        self._limit = limit
        self._levels = levels
        self._test = RatioTest()
        self._interval = RateInterval()
        self._pool = CountPool()
        self._faulty_seconds = 0

    def add(self, pair: Pair) -> None:
        self.add_counts(*self._counts(pair))

    def _counts(self, pair: Pair) -> tuple[ArmCount, ArmCount]:
        return pair.candidate.errors, pair.baseline.errors

    def add_counts(self, candidate: ArmCount, baseline: ArmCount) -> None:
        self._faulty_seconds += bool(candidate.events)
        pooled = self._pool.add(candidate, baseline)
        if pooled is not None:
            self._test.add(*pooled)
            self._interval.add(*pooled)

    def add_minutes(self, candidate: Sequence[Minute], baseline: Sequence[Minute]) -> None:
        """Nothing of them is asked."""

    def reports(self) -> list[GuardReport]:
        requests = self._interval.requests
        rates = self._interval.rates
        found = self._interval.interval(self._levels.passing)
        verdict, awaited = self._judge(None if found is None else found.upper)
        shown = f"{rates[0]:.3%} against {rates[1]:.3%}" if all(requests) else "no request yet"
        return [
            GuardReport(
                name=self._name,
                verdict=verdict,
                value=known(rates[0] - rates[1]),
                lower=None if found is None else found.lower,
                upper=None if found is None else found.upper,
                limit=self._limit,
                evidence=known(self._test.evidence),
                candidate_requests=requests[0],
                baseline_requests=requests[1],
                awaited=awaited,
                text=f"{self._what}: {shown}, may be {self._limit:.3%} more",
            )
        ]

    def _judge(self, upper: float | None) -> tuple[Verdict, str]:
        rates = self._interval.rates
        is_larger = rates[0] - rates[1] >= self._limit
        is_certain = self._test.evidence >= 1 / self._levels.fail
        if is_larger and is_certain and self._faulty_seconds >= MIN_FAULTY_SECONDS:
            return Verdict.FAIL, ""
        if upper is None:
            return Verdict.HOLD, f"requests of both arms to compare their {self._what}"
        if upper <= self._limit:
            return Verdict.PASS, ""
        return Verdict.HOLD, (
            f"{self._what}: requests until the difference is known to be below {self._limit:.3%}, "
            f"it may be {upper:.3%}"
        )


class LabelGuard(RateGuard):
    """Are more of the candidate's answers wrong, by the labels that came back?"""

    def _counts(self, pair: Pair) -> tuple[ArmCount, ArmCount]:
        return pair.candidate.labels, pair.baseline.labels


class ShadowGuard:
    """Do too many of the shadow's answers differ from the live ones beside them?

    There is one arm: of each row it is known whether the two agree. The bounds are those of a rate
    whose partner, the baseline against itself, is never wrong.
    """

    def __init__(self, name: str, limit: float, levels: Levels) -> None:
        self._name = name
        self._limit = limit
        self._levels = levels
        self._interval = RateInterval()

    def add(self, pair: Pair) -> None:
        rows = pair.candidate.shadowed
        self._interval.add(rows, ArmCount(rows.requests, 0))

    def add_minutes(self, candidate: Sequence[Minute], baseline: Sequence[Minute]) -> None:
        """Nothing of them is asked."""

    def reports(self) -> list[GuardReport]:
        rows = self._interval.requests[0]
        share = self._interval.rates[0]
        surest = self._interval.interval(self._levels.fail)
        found = self._interval.interval(self._levels.passing)
        verdict, awaited = Verdict.HOLD, "rows that the shadow answered as well"
        if surest is not None and surest.lower > self._limit:
            verdict, awaited = Verdict.FAIL, ""
        elif found is not None and found.upper <= self._limit:
            verdict, awaited = Verdict.PASS, ""
        shown = f"{share:.3%} of {rows} rows" if rows else "no row yet"
        return [
            GuardReport(
                name=self._name,
                verdict=verdict,
                value=known(share),
                lower=None if found is None else max(0.0, found.lower),
                upper=None if found is None else found.upper,
                limit=self._limit,
                candidate_requests=rows,
                awaited=awaited,
                text=f"shadow mismatches: {shown}, may be {self._limit:.3%}",
            )
        ]
