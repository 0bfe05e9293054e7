"""The guard over outputs: does the candidate answer otherwise than the baseline, on equal traffic?

Both arms get the same mix of requests in the same minutes, so their outputs are spread alike if
the versions answer alike. The distance is Kolmogorov-Smirnov's, the largest difference of the two
distribution functions: of numbers from the sketches, of categories from the cumulated shares in the
order of their names. Missing values (NaN) lie beyond all others: a difference of their share is
such a distance too. The bound on what chance does (`distribution_margin`) holds for all moments at
once; what the sketches themselves may be wrong by is added. A row counts once, but rows of one
request are alike: never more are counted than there were requests.

A new version is made to answer otherwise, somewhat. The limit says how much is still meant.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from fastserve.routing.evidence import Minute, Pair
from fastserve.routing.guard import GuardReport, Levels, Verdict
from fastserve.routing.sequential import distribution_margin

if TYPE_CHECKING:
    from fastserve._core.core import FeatureSummary, TableSketch

NAME: Final = "outputs"
# Of a rank that a KLL sketch of k = 200 tells, at 99 %; with fewer rows than k it is exact.
RANK_ERROR: Final = 0.0133
EXACT_ROWS: Final = 200
# A minute waits so long for that of the other arm.
_MOST_WAITING: Final = 10


class Distance(NamedTuple):
    """Of one output between the arms, and how much of it the sketches may have made up."""

    feature: str
    distance: float
    sketch_error: float


class OutputGuard:
    """All output features, minute by minute."""

    def __init__(self, limit: float, levels: Levels) -> None:
        """`limit`: a distance, above 0 and below 1."""
        self._limit = limit
        self._levels = levels
        self._waiting: tuple[dict[int, TableSketch], dict[int, TableSketch]] = ({}, {})
        self._sketches: tuple[TableSketch, TableSketch] | None = None
        self._requests = [0, 0]
        self._report = self._unknown("a minute of rows of both arms")

    def add(self, pair: Pair) -> None:
        self._requests[0] += pair.candidate.answers
        self._requests[1] += pair.baseline.answers

    def add_minutes(self, candidate: Sequence[Minute], baseline: Sequence[Minute]) -> None:
        for waiting, minutes in zip(self._waiting, (candidate, baseline), strict=True):
            waiting.update((minute.start, minute.sketch) for minute in minutes)
        both = sorted(self._waiting[0].keys() & self._waiting[1].keys())
        for start in both:
            self._merge(self._waiting[0].pop(start), self._waiting[1].pop(start))
        for waiting in self._waiting:
            for start in sorted(waiting)[:-_MOST_WAITING]:
                del waiting[start]
        if both:
            self._report = self._compare()

    def _merge(self, candidate: "TableSketch", baseline: "TableSketch") -> None:
        if self._sketches is None:
            self._sketches = candidate.copy(), baseline.copy()
            return
        self._sketches[0].merge(candidate)
        self._sketches[1].merge(baseline)

    def reports(self) -> list[GuardReport]:
        return [self._report]

    def _unknown(self, awaited: str) -> GuardReport:
        return GuardReport(
            name=NAME,
            verdict=Verdict.HOLD,
            limit=self._limit,
            awaited=awaited,
            text=f"outputs: not known yet, may be {self._limit:g} apart",
        )

    def _compare(self) -> GuardReport:
        assert self._sketches is not None  # noqa: S101 - both were merged
        candidate, baseline = self._sketches
        if candidate.schema != baseline.schema:
            return self._unknown("versions with the same tensors: these cannot be compared")
        counts = (
            min(candidate.rows, self._requests[0]),
            min(baseline.rows, self._requests[1]),
        )
        found = distances(candidate, baseline)
        if not all(counts) or not found:
            return self._unknown("rows of both arms whose outputs can be compared")
        fail_margin = _margin(counts, self._levels.fail / len(found))
        failed = [
            each
            for each in found
            if each.distance >= self._limit and each.distance > fail_margin + each.sketch_error
        ]
        # Every output must pass: a wrong one is let through only if its own bound is wrong.
        margin = _margin(counts, self._levels.passing)
        worst = max(failed or found, key=lambda each: each.distance + each.sketch_error)
        upper = worst.distance + worst.sketch_error + margin
        verdict, awaited = Verdict.HOLD, ""
        if failed:
            verdict = Verdict.FAIL
        elif upper <= self._limit:
            verdict = Verdict.PASS
        else:
            awaited = (
                f"outputs: rows until {worst.feature} is known to be less than {self._limit:g} "
                f"apart, it may be {min(1.0, upper):.3f}"
            )
        return GuardReport(
            name=NAME,
            verdict=verdict,
            value=worst.distance,
            lower=max(0.0, worst.distance - worst.sketch_error - margin),
            upper=min(1.0, upper),
            limit=self._limit,
            candidate_requests=counts[0],
            baseline_requests=counts[1],
            awaited=awaited,
            text=(
                f"outputs: {worst.feature} is {worst.distance:.3f} apart, the most of "
                f"{len(found)}; may be {self._limit:g}"
            ),
        )


def distances(candidate: "TableSketch", baseline: "TableSketch") -> list[Distance]:
    """Of every output feature that has values in both; the sketches have one schema."""
    found = []
    scores = candidate.scores(baseline)
    for index, feature in enumerate(candidate.schema.features):
        if feature.is_input:
            continue
        sides = candidate.summary(index), baseline.summary(index)
        if not all(side.count for side in sides):
            continue
        missing = abs(scores[index].missing_change)
        if feature.kind == "category":
            distance, error = _category_distance(*sides)
        else:
            distance = scores[index].kolmogorov_smirnov
            error = sum(RANK_ERROR for side in sides if side.count >= EXACT_ROWS)
        known = [each for each in (distance, missing) if not math.isnan(each)]
        if known:
            found.append(Distance(feature.name, max(known), error))
    return found


def _category_distance(
    candidate: "FeatureSummary", baseline: "FeatureSummary"
) -> tuple[float, float]:
    tables = [{value: count for value, count, _ in side.top} for side in (candidate, baseline)]
    error = sum(
        max((bound for _, _, bound in side.top), default=0) / side.count
        for side in (candidate, baseline)
    )
    largest = gap = 0.0
    for value in sorted(tables[0].keys() | tables[1].keys()):
        gap += tables[0].get(value, 0) / candidate.count - tables[1].get(value, 0) / baseline.count
        largest = max(largest, abs(gap))
    return largest, error


def _margin(counts: tuple[int, int], alpha: float) -> float:
    """How far apart chance alone takes two arms of these sizes, at any moment."""
    return sum(distribution_margin(count, alpha / len(counts)) for count in counts)
