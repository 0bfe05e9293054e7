import numpy as np
import pytest

from fastserve.bench.distribution import Distribution, merged


def test_percentile_is_the_value_that_so_many_do_not_exceed():
    values = np.random.default_rng(1).integers(0, 500, 3000)
    counts = [(float(v), int((values == v).sum())) for v in np.unique(values)]
    distribution = Distribution(reversed(counts))
    ordered = np.sort(values)
    for percent in (1, 50, 90, 99, 99.9, 99.99, 100):
        place = int(np.ceil(len(values) * percent / 100)) - 1
        assert distribution.percentile(percent) == ordered[place]
    assert distribution.mean == pytest.approx(values.mean())
    assert distribution.largest == values.max()


def test_empty_distribution_has_zeros():
    empty = Distribution()
    assert (empty.count, empty.percentile(99), empty.mean, empty.largest) == (0, 0, 0, 0)


def test_merged_holds_all_values_of_all_parts():
    both = merged([Distribution([(1.0, 2), (5.0, 1)]), Distribution([(1.0, 3)])])
    assert list(both) == [(1.0, 5), (5.0, 1)]
