import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))  # programs, not packages

import h2load
from peers import report
from peers.comparison import Comparison, Paced, Side, percentile


@pytest.mark.parametrize(("share", "expected"), [(0.5, 500), (0.99, 990), (0.999, 999)])
def test_percentile_is_the_nearest_rank(share, expected):
    values = list(range(1, 1001))
    random.Random(1).shuffle(values)
    assert percentile(values, share) == expected


def test_percentile_is_unknown_when_no_value_lies_beyond_it():
    assert percentile(range(999), 0.999) is None
    assert percentile([], 0.5) is None


def test_paced_leaves_out_the_edges_and_counts_what_was_answered_in_between():
    # One answer a millisecond; the first and last two are slow.
    answered_at = tuple(1000 * n for n in range(104))
    slow = (9_000_000, 9_000_000)
    paced = Paced(1000)
    paced.add(h2load.Load(1.0, (*slow, *[200] * 100, *slow), answered_at), 2)
    assert paced.answered_rps == [pytest.approx(1000)]
    assert paced.tails() == {"p50": 0.2, "p99": 0.2, "p99.9": None}
    assert paced.is_kept_up


def test_paced_fell_behind_when_answers_came_slower_than_requests():
    paced = Paced(1000)
    paced.add(h2load.Load(1.0, (200,) * 100, tuple(1250 * n for n in range(100))), 1)
    assert not paced.is_kept_up


def test_report_names_the_reason_of_a_peer_without_figures():
    found = Comparison("triton", "mlp", "gRPC", reason="no libfoo.so | in two lines")
    text = report.markdown([found], "here")
    assert "cannot run: no libfoo.so / in two lines" in text
    # The cells of a row stay as many as the heads.
    cells = {line.count("|") for line in text.splitlines() if "---" in line or "libfoo" in line}
    assert cells == {14, 9}


def test_report_quotes_the_median_ratio_with_its_range():
    theirs = Side([100.0, 200.0, 100.0], [100.0] * 3, [1.0] * 3, [50.0] * 3)
    ours = Side([1000.0, 1000.0, 2000.0], [2000.0] * 3, [0.5] * 3, [60.0] * 3)
    row = report.capacity_row(Comparison("slow", "mlp", "HTTP", 4, 64, theirs=theirs, ours=ours))
    assert row[1:5] == ["4 x 64", "100", "1,000", "10 (5 - 20)"]
    assert row[5:8] == ["100", "2,000", "20 (20 - 20)"]
