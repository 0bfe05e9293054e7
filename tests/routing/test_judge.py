"""The judge is wrong as seldom as it says, and finds faults; each guard says what it knows.

Simulated rollouts are looked at every second. bench/judge.py runs 1,000 of each world; here there
are fewer, and the bounds leave room for chance: were the judge wrong in 5 % of the rollouts, more
than MOST_WRONG of ROLLOUTS would be seen once in ten thousand runs.
"""

import statistics

import numpy as np
import pytest
from arms import BOUNDS, QUICK
from judge import ALIKE, FAULTY, simulate

from fastserve._core import core
from fastserve.rollout_spec import Guards, LabelLimit, Rollout, ShadowLimit
from fastserve.routing.evidence import ArmCounters, Minute, Pair
from fastserve.routing.guard import Levels, Verdict
from fastserve.routing.guard_latency import LatencyGuard
from fastserve.routing.guard_outputs import OutputGuard, distances
from fastserve.routing.guard_rates import LabelGuard, RateGuard, ShadowGuard
from fastserve.routing.histogram import DurationHistogram
from fastserve.routing.judge import Judge, levels_of

ROLLOUTS = 24
MOST_WRONG = 7
LEAST_FOUND = 21
LEVELS = Levels(fail=0.01, passing=0.05)
NUMBER = core.TableSchema([("x", True, "FP32", 1), ("y", False, "FP32", 1)])
CATEGORY = core.TableSchema([("label", False, "INT64", 1)])


@pytest.mark.parametrize("world", ALIKE, ids=lambda world: world.name)
def test_alike_versions_are_rolled_back_as_seldom_as_promised(world):
    count = 5 if world.is_endless or world.requests_a_second < 10 else ROLLOUTS
    found = [simulate(world, seed) for seed in range(count)]
    assert sum(each.verdict is Verdict.FAIL for each in found) <= MOST_WRONG * count / ROLLOUTS


@pytest.mark.parametrize("world", FAULTY, ids=lambda world: world.name)
def test_fault_is_found(world):
    found = [simulate(world, seed) for seed in range(ROLLOUTS)]
    assert sum(each.verdict is Verdict.FAIL for each in found) >= LEAST_FOUND
    assert statistics.median(each.requests for each in found) < 5000


def answers(count, failed=0, **more):
    return ArmCounters(answers=count - failed, failures={"execution": failed}, **more)


def feed(guard, seconds, candidate, baseline):
    for _ in range(seconds):
        guard.add(Pair(candidate, baseline))
    (report,) = guard.reports()
    return report


def test_no_data_is_hold_with_what_is_awaited():
    judge = Judge(Rollout(baseline=1, candidate=2), 0, BOUNDS)
    for _ in range(200):
        judge.add(Pair(ArmCounters(), ArmCounters()))
    judgement = judge.judge(200.0)
    assert judgement.verdict is Verdict.HOLD
    assert judgement.reason == "awaits 1000 more requests of the candidate"
    assert [each.verdict for each in judgement.guards] == [Verdict.HOLD] * 5
    assert all(each.awaited for each in judgement.guards)


def test_alpha_is_divided_by_steps_and_comparisons():
    rollout = Rollout(baseline=1, candidate=2)
    assert levels_of(rollout) == Levels(fail=0.05 / (3 * 5), passing=0.05)


def test_every_guard_that_is_enabled_reports():
    guards = Guards(labels=LabelLimit(enabled=True), shadow=ShadowLimit(enabled=True))
    judge = Judge(Rollout(baseline=1, candidate=2, guards=guards), 0, BOUNDS)
    assert [each.name for each in judge.judge(0).guards] == [
        "errors", "latency_p50", "latency_p95", "latency_p99", "outputs", "labels", "shadow",
    ]  # fmt: skip


def test_pass_needs_minimum_requests_and_time():
    judge = Judge(Rollout(baseline=1, candidate=2, guards=QUICK), 0, BOUNDS)
    for _ in range(40):
        judge.add(Pair(answers(100), answers(900)))
    assert judge.judge(59.0).awaited == ("1 more seconds",)
    assert judge.judge(60.0).verdict is Verdict.PASS


def test_errors_fail_by_rate_and_evidence_together():
    certain_and_small = feed(
        RateGuard("errors", "errors", 0.05, LEVELS), 300, answers(100, 3), answers(900, 9)
    )
    assert certain_and_small.evidence > 1 / LEVELS.fail
    assert certain_and_small.verdict is Verdict.PASS
    large_and_uncertain = feed(
        RateGuard("errors", "errors", 0.05, LEVELS), 1, answers(10, 1), answers(90)
    )
    assert large_and_uncertain.value == pytest.approx(0.1)
    assert large_and_uncertain.verdict is Verdict.HOLD
    both = feed(RateGuard("errors", "errors", 0.05, LEVELS), 30, answers(10, 1), answers(90))
    assert both.verdict is Verdict.FAIL


def test_one_second_of_errors_is_one_event():
    guard = RateGuard("errors", "errors", 0.005, LEVELS)
    guard.add(Pair(answers(100, 50), answers(900)))
    (report,) = guard.reports()
    assert report.evidence > 1e9
    assert report.verdict is Verdict.HOLD


def test_arms_of_different_hours_are_not_compared():
    guard = RateGuard("errors", "errors", 0.005, LEVELS)
    feed(guard, 3600, answers(0), answers(900))
    report = feed(guard, 3600, answers(100, 5), answers(0))
    assert report.verdict is Verdict.HOLD
    assert report.candidate_requests <= 200


def test_wrong_labels_fail_and_right_ones_pass():
    right = ArmCounters(right_labels=9, wrong_labels=1)
    wrong = ArmCounters(right_labels=7, wrong_labels=3)
    guard = LabelGuard("labels", "wrong answers", 0.05, LEVELS)
    assert feed(guard, 300, wrong, right).verdict is Verdict.FAIL
    guard = LabelGuard("labels", "wrong answers", 0.05, LEVELS)
    assert feed(guard, 300, right, right).verdict is Verdict.PASS
    guard = LabelGuard("labels", "wrong answers", 0.05, LEVELS)
    assert feed(guard, 300, ArmCounters(answers=5), right).verdict is Verdict.HOLD


@pytest.mark.parametrize(
    ("mismatched", "verdict"), [(0, Verdict.PASS), (1, Verdict.HOLD), (10, Verdict.FAIL)]
)
def test_shadow_is_held_against_its_limit(mismatched, verdict):
    guard = ShadowGuard("shadow", 0.01, LEVELS)
    report = feed(guard, 100, ArmCounters(compared=100, mismatched=mismatched), ArmCounters())
    assert report.verdict is verdict


def durations(rng, count, slower=1.0):
    values = 0.002 * np.exp(rng.normal(0, 0.5, count)) * slower
    places = np.searchsorted(BOUNDS, values)
    return tuple(np.bincount(places, minlength=len(BOUNDS) + 1).tolist())


@pytest.mark.parametrize("slower", [0.8, 1.0, 1.05, 1.5, 2.0, 5.0])
@pytest.mark.parametrize("share", [0.5, 0.05, 0.01])
def test_ratio_of_quantiles_is_read_off_buckets(slower, share):
    rng = np.random.default_rng(1)
    arms = [DurationHistogram(BOUNDS), DurationHistogram(BOUNDS)]
    arms[0].add(durations(rng, 100_000, slower))
    arms[1].add(durations(rng, 100_000))
    bound = arms[1].bound(arms[1].bound_near(share))
    at = arms[1].share_beyond(bound)
    assert arms[1].quantile_beyond(at) == pytest.approx(bound)
    assert arms[0].quantile_beyond(at) / bound == pytest.approx(slower, rel=0.15)


def test_histogram_says_nothing_without_durations_and_bounds_what_is_beyond():
    empty = DurationHistogram(BOUNDS)
    assert np.isnan(empty.share_beyond(0.1))
    assert np.isnan(empty.quantile_beyond(0.5))
    long = DurationHistogram(BOUNDS)
    long.add((0,) * 20 + (5,))
    assert long.quantile_beyond(0.5) == BOUNDS[-1]
    assert long.share_beyond(1.0) == 1.0


@pytest.mark.parametrize(
    ("slower", "verdict"), [(1.0, Verdict.PASS), (1.1, Verdict.PASS), (1.6, Verdict.FAIL)]
)
@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_latency_is_judged_by_ratio(quantile, slower, verdict):
    rng = np.random.default_rng(2)
    guard = LatencyGuard(quantile, 1.25, LEVELS, BOUNDS)
    for _ in range(300):
        candidate = ArmCounters(answers=100, durations=durations(rng, 100, slower))
        guard.add(Pair(candidate, ArmCounters(answers=400, durations=durations(rng, 400))))
    (report,) = guard.reports()
    assert report.verdict is verdict
    assert report.lower <= report.value <= report.upper


def test_latency_waits_for_the_baselines_quantile():
    guard = LatencyGuard(0.99, 1.25, LEVELS, BOUNDS)
    (report,) = guard.reports()
    assert report.awaited == "1000 more requests of the baseline, to know its latency_p99"


def sketch(schema, *columns):
    made = core.TableSketch(schema)
    for tensor, column in enumerate(columns):
        made.add(tensor, len(column), column.tobytes())
    return made


def outputs(rng, count, shift=0.0, missing=0.0):
    x = rng.normal(size=count).astype(np.float32)
    y = (rng.normal(size=count) + shift).astype(np.float32)
    y[rng.random(count) < missing] = np.nan
    return sketch(NUMBER, x, y)


def judged(candidate, baseline, requests=10**9):
    guard = OutputGuard(0.1, LEVELS)
    guard.add(Pair(ArmCounters(answers=requests), ArmCounters(answers=requests)))
    guard.add_minutes([Minute(60, candidate)], [Minute(60, baseline)])
    (report,) = guard.reports()
    return report


def test_outputs_are_judged_by_their_distance():
    rng = np.random.default_rng(3)
    baseline = outputs(rng, 50_000)
    assert judged(outputs(rng, 20_000), baseline).verdict is Verdict.PASS
    assert judged(outputs(rng, 200), baseline).verdict is Verdict.HOLD
    shifted = judged(outputs(rng, 5000, shift=0.5), baseline)
    assert shifted.verdict is Verdict.FAIL
    assert shifted.value == pytest.approx(0.197, abs=0.03)
    assert "y is" in shifted.text


def test_missing_outputs_are_a_distance():
    rng = np.random.default_rng(4)
    report = judged(outputs(rng, 5000, missing=0.3), outputs(rng, 20_000))
    assert report.verdict is Verdict.FAIL
    assert report.value == pytest.approx(0.3, abs=0.03)


def test_rows_of_one_request_are_not_independent():
    rng = np.random.default_rng(5)
    baseline, candidate = outputs(rng, 50_000), outputs(rng, 5000, shift=0.5)
    assert judged(candidate, baseline, requests=20).verdict is Verdict.HOLD


def test_categories_are_compared_by_cumulated_shares():
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    others = np.repeat([0, 1, 2], [500, 100, 400])
    (found,) = distances(sketch(CATEGORY, others), sketch(CATEGORY, labels))
    assert found == ("label", pytest.approx(0.2), 0.0)
    report = judged(sketch(CATEGORY, np.tile(others, 20)), sketch(CATEGORY, np.tile(labels, 20)))
    assert report.verdict is Verdict.FAIL


def test_minutes_count_once_both_arms_have_them():
    rng = np.random.default_rng(6)
    guard = OutputGuard(0.1, LEVELS)
    guard.add(Pair(ArmCounters(answers=10**6), ArmCounters(answers=10**6)))
    guard.add_minutes([Minute(60, outputs(rng, 1000))], [])
    assert guard.reports()[0].candidate_requests == 0
    guard.add_minutes([Minute(120, outputs(rng, 1000))], [Minute(60, outputs(rng, 3000))])
    (report,) = guard.reports()
    assert (report.candidate_requests, report.baseline_requests) == (1000, 3000)
    assert len(guard._waiting[0]) == 1


def test_versions_with_other_tensors_are_held():
    report = judged(sketch(CATEGORY, np.arange(9)), outputs(np.random.default_rng(7), 10))
    assert report.verdict is Verdict.HOLD
    assert "versions with the same tensors" in report.awaited
