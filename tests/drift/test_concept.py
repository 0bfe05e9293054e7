"""Changes are found soon, and none is found where there is none; river's detectors agree."""

import numpy as np
import pytest

from fastserve.drift.concept import QUIET_ROWS, ConceptWatch
from fastserve.drift.concept_adwin import BLOCK, Adwin
from fastserve.drift.concept_page_hinkley import PageHinkley

CHANGE = 5000


def errors(rng, *stretches):
    """0 and 1, by (rows, error rate)."""
    return np.concatenate([rng.random(rows) < rate for rows, rate in stretches]).astype(float)


def first_detection(detector, values, step=BLOCK):
    """Values taken until the first change to the worse; None without one."""
    for start in range(0, len(values), step):
        if any(change.is_worse for change in detector.add(values[start : start + step])):
            return min(start + step, len(values))
    return None


@pytest.mark.parametrize("make", [Adwin, PageHinkley])
@pytest.mark.parametrize(("before", "after", "most"), [(0.1, 0.2, 1000), (0.01, 0.05, 1500)])
def test_label_shift_after_5000_labels_is_found(make, before, after, most):
    for seed in range(10):
        values = errors(np.random.default_rng(seed), (CHANGE, before), (3000, after))
        found = first_detection(make(), values)
        assert found is not None
        assert CHANGE < found < CHANGE + most


@pytest.mark.parametrize("make", [Adwin, PageHinkley])
@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.5])
def test_long_stream_without_a_change_raises_no_alarm(make, rate):
    values = errors(np.random.default_rng(1), (300_000, rate))
    assert first_detection(make(), values, step=1000) is None


@pytest.mark.parametrize("make", [Adwin, PageHinkley])
def test_detector_tells_the_levels_before_and_after(make):
    values = errors(np.random.default_rng(4), (CHANGE, 0.1), (2000, 0.6))
    detector = make()
    (change, *_) = [c for part in np.array_split(values, 200) for c in detector.add(part)]
    assert change.mean_before == pytest.approx(0.1, abs=0.03)
    # The new level may hold some of the old: no detector knows to the value when it began.
    assert change.mean_after > 0.2
    assert change.after < 1000


@pytest.mark.parametrize("make", [Adwin, PageHinkley])
def test_pieces_in_which_values_come_do_not_matter(make):
    values = errors(np.random.default_rng(6), (CHANGE, 0.1), (2000, 0.4), (2000, 0.1))
    whole = make().add(values)
    detector = make()
    pieces = [c for value in values for c in detector.add(np.array([value]))]
    assert [c.after for c in pieces] == [c.after for c in whole]
    assert len(whole) > 0


def test_adwin_keeps_the_present_and_drops_the_past():
    detector = Adwin()
    detector.add(errors(np.random.default_rng(8), (20_000, 0.1)))
    assert detector.width == 20_000 // BLOCK * BLOCK
    detector.add(errors(np.random.default_rng(9), (5_000, 0.6)))
    assert detector.width < 6000


def test_adwin_agrees_with_river():
    river = pytest.importorskip("river.drift")
    for seed in range(8):
        rng = np.random.default_rng(seed)
        values = errors(rng, (CHANGE, 0.1), (3000, 0.2 + 0.05 * seed))
        oracle = river.ADWIN(delta=0.002, clock=BLOCK)
        theirs = None
        for place, value in enumerate(values):
            oracle.update(value)
            if oracle.drift_detected and place > CHANGE:
                theirs = place
                break
        ours = first_detection(Adwin(delta=0.002), values)
        assert theirs is not None
        assert abs(ours - theirs) <= 4 * BLOCK


def test_page_hinkley_agrees_with_river():
    river = pytest.importorskip("river.drift")
    for seed in range(8):
        values = errors(np.random.default_rng(seed), (CHANGE, 0.1), (3000, 0.3))
        oracle = river.PageHinkley(
            min_instances=1, delta=0.03, threshold=20.0, alpha=1.0, mode="up"
        )
        theirs = None
        for place, value in enumerate(values):
            oracle.update(value)
            if oracle.drift_detected:
                theirs = place
                break
        ours = first_detection(PageHinkley(tolerance=0.03, limit=20.0, warm_up=0), values, step=1)
        assert ours == theirs + 1


def changes_of(watch, values):
    return [(c.detector, c.is_raised) for part in np.array_split(values, 500)
            for c in watch.add(part)]  # fmt: skip


def test_alarm_stands_until_errors_are_fewer_again():
    watch = ConceptWatch(is_bounded=True)
    rng = np.random.default_rng(3)
    raised = changes_of(watch, errors(rng, (CHANGE, 0.1), (3000, 0.4)))
    assert set(raised) == {("adwin", True), ("page_hinkley", True)}
    assert all(watch.standing.values())
    assert ("adwin", False) in changes_of(watch, errors(rng, (3000, 0.1)))
    assert watch.standing["adwin"] is None


def test_alarm_of_a_level_that_has_become_normal_is_cleared():
    watch = ConceptWatch(is_bounded=True)
    rng = np.random.default_rng(3)
    changes_of(watch, errors(rng, (CHANGE, 0.1), (2000, 0.4)))
    changes_of(watch, errors(rng, (QUIET_ROWS + 2000, 0.4)))
    assert watch.standing == {"adwin": None, "page_hinkley": None}


def test_change_to_the_better_raises_no_alarm():
    watch = ConceptWatch(is_bounded=True)
    values = errors(np.random.default_rng(3), (CHANGE, 0.4), (5000, 0.1))
    assert changes_of(watch, values) == []


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_errors_of_numbers_are_watched_whatever_their_unit(scale):
    rng = np.random.default_rng(12)
    sizes = np.abs(rng.normal(size=CHANGE + 3000)) * scale
    watch = ConceptWatch(is_bounded=False)
    assert changes_of(watch, sizes[:CHANGE]) == []
    assert set(changes_of(watch, 3 * sizes[CHANGE:])) == {("adwin", True), ("page_hinkley", True)}


def test_one_huge_error_raises_no_alarm_of_adwin():
    rng = np.random.default_rng(12)
    sizes = np.abs(rng.normal(size=CHANGE))
    sizes[4000] = 1e9
    watch = ConceptWatch(is_bounded=False)
    changes_of(watch, sizes)
    assert watch.standing["adwin"] is None
