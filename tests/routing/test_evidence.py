"""Deltas of counters, over reloads, and pools of seconds."""

import pytest

from fastserve.routing.evidence import (
    FAULTS,
    MOST_POOLED_SECONDS,
    ArmCounters,
    CountPool,
    PairReader,
)
from fastserve.routing.sequential import ArmCount


class Source:
    def __init__(self, **counters):
        self.found = {1: ArmCounters(), 2: ArmCounters()}

    def counters(self, model, version):
        return self.found[version]


def counters(answers, *durations, **more):
    return ArmCounters(answers=answers, durations=durations, **more)


def test_delta_is_what_is_new():
    before = counters(5, 3, 2, failures={"execution": 1}, right_labels=1, compared=4)
    after = counters(9, 4, 5, failures={"execution": 3, "cancelled": 2}, right_labels=2,
                     wrong_labels=1, compared=6, mismatched=1)  # fmt: skip
    new = after.since(before)
    assert (new.answers, new.durations) == (4, (1, 3))
    assert new.failures == {"execution": 2, "cancelled": 2}
    assert new.errors == ArmCount(6, 2)
    assert new.labels == ArmCount(2, 1)
    assert new.shadowed == ArmCount(2, 1)


@pytest.mark.parametrize(
    "after",
    [
        counters(4, 4),
        counters(6, 4, failures={"execution": 0}),
        counters(7, 3, 9),
        counters(9, 9, failures={"execution": 3}, load=2),
    ],
    ids=["fewer answers", "fewer failures", "other buckets", "another load"],
)
def test_counting_that_began_again_is_new_as_a_whole(after):
    before = counters(5, 5, failures={"execution": 1})
    assert after.since(before) == after


def test_labels_and_shadowed_rows_count_on_over_a_reload():
    before = counters(5, 5, load=1, right_labels=3, wrong_labels=1, compared=9, mismatched=2)
    after = counters(2, 2, load=2, right_labels=4, wrong_labels=1, compared=12, mismatched=3)
    new = after.since(before)
    assert new.answers == 2
    assert new.labels == ArmCount(1, 0)
    assert new.shadowed == ArmCount(3, 1)


def test_callers_who_go_away_are_no_fault():
    assert set(FAULTS) == {"execution", "invalid", "expired", "overloaded", "queue_full"}
    gone = counters(1, failures={"cancelled": 7, "draining": 2})
    assert gone.errors == ArmCount(1, 0)


def test_reader_gives_pairs_from_the_second_look_on():
    source = Source()
    reader = PairReader(source, "m", 2, 1)
    assert reader.read() is None
    source.found = {1: counters(9), 2: counters(1)}
    pair = reader.read()
    assert (pair.candidate.answers, pair.baseline.answers) == (1, 9)
    assert reader.read().baseline.answers == 0


def test_reader_takes_nothing_over_a_time_in_which_a_version_was_away():
    source = Source()
    reader = PairReader(source, "m", 2, 1)
    reader.read()
    source.found = {1: counters(9), 2: None}
    assert reader.read() is None
    source.found = {1: counters(10), 2: counters(50)}
    assert reader.read() is None  # of the 50 nobody knows when
    source.found = {1: counters(12), 2: counters(51)}
    pair = reader.read()
    assert (pair.candidate.answers, pair.baseline.answers) == (1, 2)


def test_pool_waits_for_both_arms():
    pool = CountPool()
    assert pool.add(ArmCount(0, 0), ArmCount(1, 1)) is None
    assert pool.add(ArmCount(0, 0), ArmCount(2, 0)) is None
    assert pool.add(ArmCount(1, 1), ArmCount(0, 0)) == (ArmCount(1, 1), ArmCount(3, 1))
    assert pool.add(ArmCount(1, 0), ArmCount(1, 0)) == (ArmCount(1, 0), ArmCount(1, 0))


def test_pool_forgets_what_is_too_far_apart():
    pool = CountPool()
    for _ in range(MOST_POOLED_SECONDS):
        assert pool.add(ArmCount(0, 0), ArmCount(1, 1)) is None
    assert pool.add(ArmCount(1, 0), ArmCount(1, 0)) == (ArmCount(1, 0), ArmCount(1, 0))
