import math

import numpy as np
import pytest

from fastserve.bench.comparison import compare, ratio_of


def test_compare_takes_turns_and_tells_second_over_first(result_of):
    order = []

    def side(name, ms):
        def run():
            order.append(name)
            return result_of(ms)

        return run

    ratios = compare(side("a", 2.0), side("b", 3.0), rounds=3).ratios()
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert ratios["p50"].value == pytest.approx(1.5)
    assert ratios["p50"].low == pytest.approx(1.5)
    assert ratios["requests_per_second"].value == pytest.approx(1)


def test_ratio_interval_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        first, second = np.exp(random.normal(0, 0.1, (2, 20)))
        ratio = ratio_of(list(first), list(2 * second))
        hits += ratio.low <= 2 <= ratio.high
    assert 175 <= hits <= 199


def test_ratio_is_nan_where_a_round_has_no_value():
    assert math.isnan(ratio_of([1.0, 0.0], [1.0, 1.0]).value)


def test_compare_ends_when_a_load_breaks_off(result_of):
    comparison = compare(lambda: result_of(1.0), lambda: result_of(1.0, failure="gone"), rounds=5)
    assert len(comparison.first) == len(comparison.second) == 1


def test_compare_leaves_the_round_out_in_which_it_was_interrupted(result_of):
    # A B, B A, and the B of the third round is never reached.
    first = iter([result_of(1.0), result_of(1.0), result_of(1.0, interrupted=True)])
    second = iter([result_of(2.0), result_of(2.0)])
    comparison = compare(lambda: next(first), lambda: next(second), rounds=5)
    assert comparison.is_interrupted
    assert len(comparison.first) == len(comparison.second) == 2
    assert comparison.ratios()["p50"].value == pytest.approx(2)
