"""Scores from sketches against the same formulas over all of the data."""

import math

import numpy as np
import pytest

from fastserve._core.core import TableSchema, TableSketch

ROWS = 200_000
RANK_ERROR = 0.0133  # of one rank of a float feature, with 99 % confidence


def table_of(columns, datatype="FP32", dtype="<f4"):
    data = np.stack(columns, axis=1).astype(dtype)
    table = TableSketch(TableSchema([("x", True, datatype, data.shape[1])]))
    table.add(0, len(data), data.tobytes())
    return table


def score(reference, live, **options):
    return table_of([live], **options).scores(table_of([reference], **options))[0]


def exact_bins(reference, live):
    cuts = np.unique(np.quantile(reference, np.arange(1, 10) / 10, method="inverted_cdf"))
    edges = [-math.inf, *np.nextafter(cuts, math.inf), math.inf]
    return np.histogram(reference, edges)[0], np.histogram(live, edges)[0]


def exact_psi(counts, live_counts):
    bins = len(counts)
    p = (counts + 0.5) / (counts.sum() + bins / 2)
    q = (live_counts + 0.5) / (live_counts.sum() + bins / 2)
    return float(((q - p) * np.log(q / p)).sum())


def exact_jensen_shannon(counts, live_counts):
    p = counts / counts.sum()
    q = live_counts / live_counts.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(s > 0, s * np.log2(s / middle), 0).sum() for s in (p, q)]
    return math.sqrt(max(0.0, float(sum(parts)) / 2))


def exact_distances(reference, live):
    points = np.sort(np.concatenate([reference, live]))
    f = np.searchsorted(np.sort(reference), points, side="right") / len(reference)
    g = np.searchsorted(np.sort(live), points, side="right") / len(live)
    area = float((np.abs(f - g)[:-1] * np.diff(points)).sum())
    return float(np.abs(f - g).max()), area / reference.std()


def exact_cramers_v(reference, live):
    values = np.unique(np.concatenate([reference, live]))
    p = np.array([(reference == value).mean() for value in values])
    q = np.array([(live == value).mean() for value in values])
    return math.sqrt(float(((p - q) ** 2 / (p + q)).sum()) / 2)


SHIFTS = {
    "none": lambda random: random.normal(size=ROWS),
    "small": lambda random: random.normal(0.2, 1, ROWS),
    "large": lambda random: random.normal(1.5, 1, ROWS),
    "wider": lambda random: random.normal(0, 2, ROWS),
    "apart": lambda random: random.normal(9, 1, ROWS),
    "few rows": lambda random: random.normal(0.5, 1, 500),
    "few values": lambda random: np.round(random.normal(0.3, 1, ROWS)),
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_scores_of_a_number_are_those_of_the_data_within_the_rank_error(shift):
    random = np.random.default_rng(7)
    reference = random.normal(size=ROWS).astype("f4")
    if shift == "few values":
        reference = np.round(reference)
    live = SHIFTS[shift](random).astype("f4")
    found = score(reference, live)
    largest, area = exact_distances(reference.astype("f8"), live.astype("f8"))
    # Two ranks, of two sketches, each off by so much at the worst of many places.
    tolerance = 2 * 1.6 * RANK_ERROR
    assert found.kolmogorov_smirnov == pytest.approx(largest, abs=tolerance)
    assert found.wasserstein == pytest.approx(area, abs=0.05 + 0.03 * area)
    counts = exact_bins(reference, live)
    # Where it is large, bins that are all but empty on one side decide it.
    psi = exact_psi(*counts)
    assert found.psi == pytest.approx(psi, abs=0.02, rel=0.12 if psi < 0.5 else 0.4)
    assert found.jensen_shannon == pytest.approx(exact_jensen_shannon(*counts), abs=0.03)
    assert math.isnan(found.cramers_v)
    assert found.missing_change == 0


def test_scores_are_exact_while_the_sketches_are():
    random = np.random.default_rng(11)
    reference = random.integers(0, 20, 150).astype("f4")
    live = random.integers(3, 25, 120).astype("f4")
    found = score(reference, live)
    largest, area = exact_distances(reference.astype("f8"), live.astype("f8"))
    counts = exact_bins(reference, live)
    assert found.kolmogorov_smirnov == pytest.approx(largest, rel=1e-12)
    assert found.wasserstein == pytest.approx(area, rel=1e-9)
    assert found.psi == pytest.approx(exact_psi(*counts), rel=1e-12)
    assert found.jensen_shannon == pytest.approx(exact_jensen_shannon(*counts), rel=1e-12)


@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_psi_of_no_drift_is_what_its_bias_says(rows):
    random = np.random.default_rng(13)
    reference = table_of([random.normal(size=ROWS)] * 1)
    found = [table_of([random.normal(size=rows)]).scores(reference)[0].psi for _ in range(60)]
    expected = 9 * (1 / ROWS + 1 / rows)
    # Of 60 windows; ranks of the sketch add a little where rows are many.
    assert np.mean(found) == pytest.approx(expected, rel=0.35, abs=0.006)


@pytest.mark.parametrize("values", [5, 100])
def test_scores_of_a_category_are_exact_while_every_value_is_counted(values):
    random = np.random.default_rng(17)
    reference = random.zipf(1.5, ROWS) % values
    live = random.zipf(1.7, 5_000) % values
    found = score(reference, live, datatype="INT64", dtype="<i8")
    counts = [np.bincount(side, minlength=values) for side in (reference, live)]
    seen = (counts[0] + counts[1]) > 0
    counts = [side[seen] for side in counts]
    assert found.cramers_v == pytest.approx(exact_cramers_v(reference, live), rel=1e-9)
    assert found.psi == pytest.approx(exact_psi(*counts), rel=1e-9)
    assert found.jensen_shannon == pytest.approx(exact_jensen_shannon(*counts), rel=1e-9)
    assert math.isnan(found.kolmogorov_smirnov)
    assert math.isnan(found.wasserstein)


def test_scores_of_a_category_of_many_values_notice_what_moved():
    random = np.random.default_rng(19)
    reference = random.zipf(1.3, ROWS) % 10_000
    same = random.zipf(1.3, ROWS) % 10_000
    moved = np.where(random.random(ROWS) < 0.3, 77_777, same)
    options = {"datatype": "INT64", "dtype": "<i8"}
    assert score(reference, same, **options).cramers_v < 0.1
    assert score(reference, moved, **options).cramers_v > 0.35


def test_cramers_v_does_not_depend_on_how_many_rows_a_window_has():
    random = np.random.default_rng(23)
    reference = random.choice(4, ROWS, p=[0.4, 0.3, 0.2, 0.1])
    options = {"datatype": "INT32", "dtype": "<i4"}
    found = [
        score(reference, random.choice(4, rows, p=[0.1, 0.2, 0.3, 0.4]), **options).cramers_v
        for rows in (2_000, 200_000)
    ]
    assert found[0] == pytest.approx(found[1], abs=0.03)


def test_scores_of_disjoint_values_are_the_largest():
    options = {"datatype": "INT32", "dtype": "<i4"}
    found = score(np.zeros(1_000), np.ones(1_000), **options)
    assert found.cramers_v == 1
    assert found.jensen_shannon == 1
    numbers = score(np.arange(1_000), np.arange(5_000, 6_000))
    assert numbers.kolmogorov_smirnov == 1
    # All live values fall into the reference's last bin, which holds a tenth of its own.
    assert numbers.jensen_shannon == pytest.approx(
        exact_jensen_shannon(np.array([900, 100]), np.array([0, 1000])), abs=0.01
    )


def test_wasserstein_of_a_constant_reference_is_zero_or_infinite():
    assert score(np.full(500, 3.0), np.full(90, 3.0)).wasserstein == 0
    assert score(np.full(500, 3.0), np.full(90, 4.0)).wasserstein == math.inf


def test_missing_change_is_the_difference_of_shares_in_numbers_and_text():
    reference = np.ones(1_000, "f4")
    live = np.ones(1_000, "f4")
    reference[:100] = math.nan
    live[:300] = math.nan
    live[300:350] = math.inf
    assert score(reference, live).missing_change == pytest.approx(0.25)
    schema = TableSchema([("t", True, "BYTES", 1)])
    tables = [TableSketch(schema), TableSketch(schema)]
    for table, empty in zip(tables, (10, 60), strict=True):
        texts = [b""] * empty + [b"a"] * (100 - empty)
        table.add(0, 100, b"".join(len(t).to_bytes(4, "little") + t for t in texts))
    assert tables[1].scores(tables[0])[0].missing_change == pytest.approx(0.5)


def test_scores_do_not_apply_where_a_side_has_no_value():
    found = score(np.ones(100), np.full(100, math.nan))
    assert math.isnan(found.psi)
    assert math.isnan(found.kolmogorov_smirnov)
    assert found.missing_change == 1
