"""P-values agree with scipy's, and never invent a difference out of a sketch's own error."""

import numpy as np
import pytest
from scipy import stats

from fastserve.drift.evidence import (
    EXACT_ROWS,
    RANK_ERROR,
    CountTable,
    categories_p,
    chi_square_p,
    holm,
    kolmogorov_p,
    shares_p,
)


@pytest.mark.parametrize("distance", [0.02, 0.05, 0.08, 0.12, 0.3])
@pytest.mark.parametrize("rows", [(150, 180), (199, 60)])
def test_kolmogorov_p_is_that_of_the_distribution_where_sketches_are_exact(distance, rows):
    size = np.sqrt(rows[0] * rows[1] / sum(rows))
    expected = stats.kstwobign.sf((size + 0.12 + 0.11 / size) * distance)
    assert kolmogorov_p(distance, *rows) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_kolmogorov_p_takes_the_sketches_errors_off_first():
    assert kolmogorov_p(2 * RANK_ERROR, 10**9, 10**9) == 1
    assert kolmogorov_p(0.2, EXACT_ROWS, 10**6) > kolmogorov_p(0.2, EXACT_ROWS - 1, 10**6)
    assert kolmogorov_p(0.0995, 20_000, 10_000) < 1e-20


def test_kolmogorov_p_of_nothing_is_one():
    assert kolmogorov_p(1.0, 0, 1000) == kolmogorov_p(1.0, 1000, 0) == kolmogorov_p(0, 9, 9) == 1


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 30, 127])
@pytest.mark.parametrize("chance", [0.5, 0.05, 1e-3, 1e-5])
def test_chi_square_p_is_that_of_the_distribution(freedom, chance):
    statistic = stats.chi2.isf(chance, freedom)
    assert chi_square_p(statistic, freedom) == pytest.approx(chance)


def test_shares_p_is_the_pooled_test_of_two_proportions():
    table = np.array([[30, 970], [80, 1920]])
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert shares_p((30, 1000), (80, 2000)) == pytest.approx(expected)
    assert shares_p((0, 1000), (0, 500)) == shares_p((5, 5), (9, 9)) == 1
    assert shares_p((1, 1000), (0, 0)) == 1


def test_holm_is_the_step_down_procedure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1, 1]


def test_categories_p_is_pearsons_where_all_values_are_counted():
    first = {"a": 500, "b": 300, "c": 200}
    second = {"a": 230, "b": 180, "c": 90}
    expected = stats.chi2_contingency([list(first.values()), list(second.values())]).pvalue
    found = categories_p(CountTable(first, 0, 1000), CountTable(second, 0, 500))
    assert found == pytest.approx(expected)


def test_categories_p_sees_no_difference_within_the_sketches_errors():
    first = CountTable({f"a{n}": 3 for n in range(128)}, 90, 10_000)
    second = CountTable({f"b{n}": 3 for n in range(128)}, 90, 10_000)
    assert categories_p(first, second) == 1
    grown = CountTable({**second.counts, "b0": 2000}, 90, 10_000)
    assert categories_p(first, grown) < 1e-9
