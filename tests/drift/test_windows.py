"""Windows tumble by the wall clock, lose no row, and are none where nothing came."""

import numpy as np
import pytest

from fastserve._core import core
from fastserve.drift.signature import schema_of
from fastserve.drift.windows import DAY, HOUR, WindowLadder, lengths_for
from tests.drift.conftest import SIGNATURE

NOON = 1_764_072_000.0  # a whole hour, and not a whole day


@pytest.fixture
def seen(sketch_of):
    def make(rows):
        return sketch_of(np.zeros((rows, 30), np.float32))

    return make


@pytest.fixture
def ladder():
    def make(lengths=(60, 300), now=NOON):
        schema = schema_of(SIGNATURE)
        return WindowLadder(lengths, lambda: core.TableSketch(schema), now)

    return make


def facts(windows):
    return [(w.length, w.start - NOON, w.end - NOON, w.rows) for w in windows]


def test_window_closes_when_its_end_has_passed(ladder, seen):
    windows = ladder()
    assert windows.add(NOON + 59, seen(5)) == []
    assert facts(windows.add(NOON + 60.1, seen(7))) == [(60, 0, 60, 12)]
    assert facts(windows.add(NOON + 300, seen(1))) == [(60, 60, 120, 1), (300, 0, 300, 13)]


def test_rows_belong_to_the_minute_in_which_they_began_to_come(ladder, seen):
    windows = ladder(now=NOON + 10)
    assert facts(windows.add(NOON + 60.2, seen(3))) == [(60, 0, 60, 3)]


def test_minute_without_rows_is_a_gap(ladder, seen):
    windows = ladder()
    windows.add(NOON + 60, seen(1))
    for minute in range(2, 5):
        assert windows.add(NOON + 60 * minute, None) == []
    assert facts(windows.add(NOON + 300, None)) == [(300, 0, 300, 1)]
    assert windows.closed(60).start == NOON


def test_empty_sketch_is_a_gap_as_well(ladder, seen):
    windows = ladder()
    assert windows.add(NOON + 60, seen(0)) == []
    assert windows.closed(60) is None
    assert windows.recent(300) is None


def test_every_row_is_in_one_window_of_each_length(ladder, seen, source):
    windows = ladder(lengths=(10, 60, 300, HOUR))
    now, sent = NOON, 0
    closed = []
    while now < NOON + HOUR:
        now += float(source.integers(1, 40))
        rows = int(source.integers(0, 4))
        sent += rows
        closed += windows.add(now, seen(rows) if rows else None)
    closed += windows.add(now + 2 * HOUR, None)
    for length in (10, 60, 300, HOUR):
        mine = [window for window in closed if window.length == length]
        assert sum(window.rows for window in mine) == sent
        assert [w.start for w in mine] == sorted({w.start for w in mine})
        assert all(w.start % length == 0 for w in mine)


def test_clock_that_is_set_back_loses_no_row_and_opens_no_earlier_window(ladder, seen):
    windows = ladder()
    assert facts(windows.add(NOON + 90, seen(2))) == [(60, 0, 60, 2)]
    assert windows.add(NOON - 1000, seen(3)) == []
    assert windows.add(NOON - 940, seen(4)) == []
    closed = windows.add(NOON + 121, seen(1))
    assert facts(closed) == [(60, 60, 120, 8)]


def test_recent_is_the_open_window_and_the_one_before(ladder, seen):
    windows = ladder()
    windows.add(NOON + 60, seen(5))
    windows.add(NOON + 70, seen(2))
    recent = windows.recent(60)
    assert (recent.start, recent.end, recent.rows) == (NOON, NOON + 70, 7)
    assert recent.is_open


def test_recent_leaves_out_a_window_beyond_a_gap(ladder, seen):
    windows = ladder()
    windows.add(NOON + 60, seen(5))
    windows.add(NOON + 180, None)
    assert windows.recent(60) is None
    windows.add(NOON + 190, seen(1))
    assert windows.recent(60).rows == 1


def test_recent_changes_nothing(ladder, seen):
    windows = ladder()
    windows.add(NOON + 60, seen(5))
    windows.add(NOON + 70, seen(2))
    for _ in range(3):
        assert windows.recent(60).rows == 7
    assert facts(windows.add(NOON + 120, None)) == [(60, 60, 120, 2)]


@pytest.mark.parametrize(
    ("base", "judged", "expected"),
    [
        (60, 300, (60, 300, HOUR, DAY)),
        (60, 600, (60, 300, 600, HOUR, DAY)),
        (10, 10, (10, 60, 300, HOUR, DAY)),
        (7, 14, (7, 14)),
        (HOUR, HOUR, (HOUR, DAY)),
    ],
)
def test_lengths_are_multiples_of_the_base(base, judged, expected):
    assert lengths_for(base, judged) == expected
