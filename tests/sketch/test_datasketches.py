"""Our sketches and those of Apache DataSketches read one another's bytes."""

import datasketches
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fastserve._core.core import CoreError, TableSchema, TableSketch

FLOATS = ("FP32", "<f4", datasketches.kll_floats_sketch, 200)
DOUBLES = ("FP64", "<f8", datasketches.kll_doubles_sketch, 100)
RANKS = np.linspace(0, 1, 101)

kinds = pytest.mark.parametrize(
    ("datatype", "dtype", "theirs", "k"), [FLOATS, DOUBLES], ids=["floats", "doubles"]
)


def table_of(datatype, values):
    table = TableSketch(TableSchema([("x", True, datatype, 1)]))
    table.add(0, len(values), values.tobytes())
    return table


def container_with(table, payload):
    """The bytes of a table of one number feature whose quantile sketch is another's."""
    import struct
    import zlib

    data = table.serialize()
    own = table.quantile_sketch(0)
    body = data[: -4 - len(own)]
    size_at = len(body) - 64 - 4
    body = body[:size_at] + struct.pack("<I", 64 + len(payload)) + body[size_at + 4 :] + payload
    return body + struct.pack("<I", zlib.crc32(body))


@kinds
@pytest.mark.parametrize("count", [0, 1, 2, 150, 1_000, 100_000, 1_000_000])
def test_quantile_sketch_is_read_by_datasketches_byte_for_byte(datatype, dtype, theirs, k, count):
    values = np.random.default_rng(count).normal(size=count).astype(dtype)
    table = table_of(datatype, values)
    ours = table.quantile_sketch(0)
    read = theirs.deserialize(ours)
    assert read.serialize() == ours
    assert (read.n, read.k) == (count, k)
    if count == 0:
        return
    assert (read.get_min_value(), read.get_max_value()) == (values.min(), values.max())
    points = np.quantile(values, RANKS[1:-1])
    expected = [read.get_rank(float(point), inclusive=True) for point in points]
    # They do not count a minimum or maximum whose item was dropped: one value at most.
    assert table.ranks(0, points.tolist()) == pytest.approx(expected, abs=1.5 / count)
    if count > 1000:
        error = theirs.get_normalized_rank_error(k, as_pmf=False)
        exact = [np.mean(values <= point) for point in points]
        assert np.max(np.abs(np.subtract(expected, exact))) < 1.6 * error


@kinds
@pytest.mark.parametrize("count", [2, 90, 5_000, 300_000])
def test_quantile_sketch_of_datasketches_is_read_byte_for_byte(datatype, dtype, theirs, k, count):
    values = np.random.default_rng(count).normal(size=count).astype(dtype)
    their = theirs(k)
    their.update(values)
    # The same values through our door give the moments that go with them.
    table = TableSketch.parse(container_with(table_of(datatype, values), their.serialize()))
    assert table.quantile_sketch(0) == their.serialize()
    points = np.quantile(values, RANKS[1:-1]).tolist()
    expected = [their.get_rank(point, inclusive=True) for point in points]
    assert table.ranks(0, points) == pytest.approx(expected, abs=1.5 / count)
    merged = table_of(datatype, values)
    merged.merge(table)
    assert theirs.deserialize(merged.quantile_sketch(0)).n == 2 * count


@kinds
def test_quantile_sketches_merge_in_datasketches(datatype, dtype, theirs, k):
    random = np.random.default_rng(3)
    parts = [random.normal(i, 1, size=20_000).astype(dtype) for i in range(20)]
    union = theirs(k)
    for part in parts:
        union.merge(theirs.deserialize(table_of(datatype, part).quantile_sketch(0)))
    values = np.sort(np.concatenate(parts))
    assert union.n == len(values)
    points = np.quantile(values, RANKS[1:-1])
    exact = np.searchsorted(values, points, side="right") / len(values)
    found = np.array([union.get_rank(float(point), inclusive=True) for point in points])
    assert np.max(np.abs(found - exact)) < 1.6 * theirs.get_normalized_rank_error(k, as_pmf=False)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(width=32), max_size=900),
    calls=st.integers(1, 9),
)
def test_quantile_sketch_counts_every_finite_value_however_it_comes(values, calls):
    column = np.array(values, "<f4")
    table = TableSketch(TableSchema([("x", True, "FP32", 1)]))
    for part in np.array_split(column, calls):
        table.add(0, len(part), part.tobytes())
    finite = column[np.isfinite(column)]
    read = datasketches.kll_floats_sketch.deserialize(table.quantile_sketch(0))
    summary = table.summary(0)
    assert read.n == len(finite) == summary.count - summary.missing - summary.infinite
    assert summary.missing == np.isnan(column).sum()
    assert summary.zeros == (column == 0).sum()
    if len(finite):
        assert (summary.minimum, summary.maximum) == (finite.min(), finite.max())
        exact = finite.astype("f8")
        scale = np.abs(exact).max()
        assert summary.mean == pytest.approx(exact.mean(), abs=1e-12 * scale)
        assert summary.deviation == pytest.approx(exact.std(), abs=1e-6 * scale)


def text_elements(texts):
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


@pytest.mark.parametrize("distinct", [1, 50, 128, 2_000, 100_000])
def test_distinct_sketch_of_integers_unites_with_datasketches(distinct):
    table = TableSketch(TableSchema([("n", True, "INT64", 1)]))
    values = np.arange(distinct, dtype="<i8")
    table.add(0, distinct, values.tobytes())
    their = datasketches.hll_sketch(10, datasketches.tgt_hll_type.HLL_8)
    for value in values.tolist():
        their.update(value)
    union = datasketches.hll_union(10)
    union.update(datasketches.hll_sketch.deserialize(table.distinct_sketch(0)))
    alone = union.get_estimate()
    union.update(their)
    # The same values: the union is either side.
    assert union.get_estimate() == pytest.approx(alone, rel=1e-9)
    assert alone == pytest.approx(distinct, rel=0.13)
    assert table.summary(0).distinct == pytest.approx(distinct, rel=0.13)


def test_distinct_sketch_of_text_unites_with_datasketches():
    table = TableSketch(TableSchema([("t", True, "BYTES", 1)]))
    texts = [f"a text of any length {'x' * (i % 40)} {i}" for i in range(5_000)]
    table.add(0, len(texts), text_elements([text.encode() for text in texts]))
    their = datasketches.hll_sketch(10, datasketches.tgt_hll_type.HLL_8)
    for text in texts:
        their.update(text)
    union = datasketches.hll_union(10)
    union.update(datasketches.hll_sketch.deserialize(table.distinct_sketch(0)))
    alone = union.get_estimate()
    union.update(their)
    assert union.get_estimate() == pytest.approx(alone, rel=1e-9)


def test_distinct_estimate_agrees_with_datasketches_on_the_same_registers():
    table = TableSketch(TableSchema([("n", True, "UINT64", 1)]))
    for start in range(0, 400_000, 1_000):
        values = np.arange(start, start + 1_000, dtype="<u8")
        table.add(0, len(values), values.tobytes())
        read = datasketches.hll_sketch.deserialize(table.distinct_sketch(0))
        assert table.summary(0).distinct == pytest.approx(read.get_estimate(), rel=0.02)


def test_quantile_sketch_of_another_k_is_refused_with_its_place():
    values = np.arange(1_000, dtype="<f4")
    their = datasketches.kll_floats_sketch(100)
    their.update(values)
    data = container_with(table_of("FP32", values), their.serialize())
    with pytest.raises(
        CoreError, match=r"feature 'x' at byte 41: k is 100, expected 200"
    ) as caught:
        TableSketch.parse(data)
    assert caught.value.code == 15
