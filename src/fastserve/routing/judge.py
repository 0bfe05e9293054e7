"""The judge: does the candidate do as well as the baseline, worse, or is too little known?

The baseline is the old version *over the same seconds and minutes*, on its own share of the same
traffic; never what it did yesterday. So whatever happens to both, a slow disk, a burst, a Monday
morning, is no one's fault.

Guards each compare one thing: the share of requests that fail, quantiles of latency, the
distribution of each output, labels, the answers of a shadow. The judge puts their words together:

    any fail                                            fail
    all pass, the step's minimum requests and seconds   pass
    otherwise                                           hold

Hold is what it says when it does not know: no traffic, no labels, a version that is not loaded, a
baseline that nobody calls. It never takes silence for consent.

Two questions are kept apart. Is there a difference? The tests of routing/sequential.py answer, with
an error that holds however often they are looked at: the judge looks every second. Does it matter?
The limits of the rollout answer, in units that people think in: so many errors in a hundred, so
many times slower. A fail needs a yes to both, a pass needs the certainty that the second is a no.

How often it is wrong. A candidate that is like the baseline is rolled back with a chance of `alpha`
(0.05) at most over the whole rollout: alpha is divided evenly by the number of steps and of
comparisons in each, since any one of them fails the rollout (Bonferroni), and the outputs' part
once more by the number of outputs. A candidate that a guard should stop gets past that guard in
one step with a chance of `passing_alpha` (0.05) at most: that one is not divided, since every guard
must pass, and a bad candidate has to get past the very guard that its fault is the business of.

Evidence is of one step: another weight is another experiment. It is kept in memory, and begins anew
with each step, after a pause, and after a restart of the server, which each count as one more
chance to be wrong.

Rejected: comparing scores of many metrics with fixed thresholds on their sum (what Kayenta does:
nobody can say how often it is wrong); one look at the end of the step (a fault should be found
while it is small).

Thread: the event loop's.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from fastserve.rollout_spec import Rollout
from fastserve.routing.evidence import Minute, Pair
from fastserve.routing.guard import Guard, GuardReport, Levels, Verdict
from fastserve.routing.guard_latency import LatencyGuard
from fastserve.routing.guard_outputs import OutputGuard
from fastserve.routing.guard_rates import LabelGuard, RateGuard, ShadowGuard

NO_GUARD: Final = "nothing is watched"


class Judgement(msgspec.Struct, frozen=True):
    """What the judge says at one moment, and why. `awaited` is what a hold waits for."""

    verdict: Verdict
    reason: str
    guards: tuple[GuardReport, ...]
    awaited: tuple[str, ...]
    candidate_requests: int
    baseline_requests: int
    seconds: float


class Judge:
    """Of one step of a rollout."""

    def __init__(self, rollout: Rollout, step: int, bounds: Sequence[float]) -> None:
        """`step`: from 0. `bounds`: of the buckets of durations, `core.BUCKET_BOUNDS_SECONDS`."""
        self._step = rollout.steps[step]
        self._guards = make_guards(rollout, bounds)
        self._requests = [0, 0]

    def add(self, pair: Pair) -> None:
        """What both arms did since the last call."""
        self._requests[0] += pair.candidate.requests
        self._requests[1] += pair.baseline.requests
        for guard in self._guards:
            guard.add(pair)

    def add_minutes(self, candidate: Sequence[Minute], baseline: Sequence[Minute]) -> None:
        """Minutes that began in this step and are over, each once."""
        for guard in self._guards:
            guard.add_minutes(candidate, baseline)

    def judge(self, seconds: float) -> Judgement:
        """`seconds`: since the step began."""
        reports = tuple(report for guard in self._guards for report in guard.reports())
        failed = [report for report in reports if report.verdict is Verdict.FAIL]
        awaited = (*self._minimum(seconds), *(each.awaited for each in reports if each.awaited))
        if failed:
            verdict, reason = Verdict.FAIL, "; ".join(report.text for report in failed)
        elif not awaited and all(report.verdict is Verdict.PASS for report in reports):
            verdict, reason = Verdict.PASS, f"all {len(reports)} guards pass"
        else:
            verdict, reason = Verdict.HOLD, f"awaits {awaited[0]}" if awaited else NO_GUARD
        return Judgement(
            verdict,
            reason,
            reports,
            () if failed else awaited,
            self._requests[0],
            self._requests[1],
            seconds,
        )

    def _minimum(self, seconds: float) -> list[str]:
        awaited = []
        missing = self._step.min_requests - self._requests[0]
        if missing > 0:
            awaited.append(f"{missing} more requests of the candidate")
        if seconds < self._step.min_seconds:
            awaited.append(f"{self._step.min_seconds - seconds:.0f} more seconds")
        return awaited


def levels_of(rollout: Rollout) -> Levels:
    """Of each comparison in each step."""
    comparisons = rollout.guards.count * len(rollout.steps)
    return Levels(fail=rollout.alpha / comparisons, passing=rollout.passing_alpha)


def make_guards(rollout: Rollout, bounds: Sequence[float]) -> list[Guard]:
    """Those that are enabled, with nothing seen yet."""
    limits, levels = rollout.guards, levels_of(rollout)
    guards: list[Guard] = []
    if limits.errors.enabled:
        guards.append(RateGuard("errors", "errors", limits.errors.max_increase, levels))
    if limits.latency.enabled:
        guards += [
            LatencyGuard(quantile, limits.latency.max_ratio, levels, bounds)
            for quantile in limits.latency.quantiles
        ]
    if limits.outputs.enabled:
        guards.append(OutputGuard(limits.outputs.max_distance, levels))
    if limits.labels.enabled:
        guards.append(LabelGuard("labels", "wrong answers", limits.labels.max_increase, levels))
    if limits.shadow.enabled:
        guards.append(ShadowGuard("shadow", limits.shadow.max_mismatches, levels))
    return guards
