"""TableSchema and TableSketch as Python sees them."""

import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from fastserve._core.core import CoreError, SketchFeature, TableSchema, TableSketch

INTEGERS = {
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}


def one(datatype, elements=1):
    return TableSketch(TableSchema([("x", True, datatype, elements)]))


def test_schema_names_features_after_their_elements():
    schema = TableSchema([("x", True, "FP32", 2), ("label", False, "INT64", 1)])
    assert schema.features == [
        SketchFeature(name="x[0]", tensor="x", is_input=True, kind="number", index=0),
        SketchFeature(name="x[1]", tensor="x", is_input=True, kind="number", index=1),
        SketchFeature(name="label", tensor="label", is_input=False, kind="category", index=0),
    ]
    assert schema.tensors == [("x", True, "FP32", 2), ("label", False, "INT64", 1)]


def test_schema_derives_numbers_of_wide_and_varying_rows():
    schema = TableSchema([("image", True, "UINT8", 150_528), ("tokens", True, "INT64", -1)])
    kinds = ["norm", "mean", *["projection"] * 4]
    assert [feature.kind for feature in schema.features] == kinds * 2
    assert schema.features[3].name == "image.projection[1]"
    assert schema.features[3].index == 1


def test_schemas_are_equal_when_their_tensors_are():
    made = [TableSchema([("x", True, "FP32", 2)]) for _ in range(2)]
    assert made[0] == made[1]
    assert hash(made[0]) == hash(made[1])
    assert made[0] != TableSchema([("x", False, "FP32", 2)])
    assert TableSketch(made[0]).schema == made[0]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([("x", True, "FLOAT", 1)], "tensor 'x' has no data type of the protocol"),
        ([("x", True, "FP32", -2)], "tensor 'x' has -2 elements in a row"),
        ([("", True, "FP32", 1)], "a tensor's name has 0 bytes"),
        ([("x", True, "FP32", 1)] * 2, "tensor 'x' stands twice among the inputs"),
    ],
)
def test_schema_that_cannot_be_is_refused_by_name(tensors, message):
    with pytest.raises(CoreError, match=message) as caught:
        TableSchema(tensors)
    assert caught.value.code == 3


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8")])
def test_numbers_of_every_width_are_summarised(datatype, dtype):
    values = np.random.default_rng(3).normal(5, 2, (20_000, 3)).astype(dtype)
    values[:500, 1] = 0
    values[500:600, 1] = math.nan
    table = one(datatype, 3)
    for part in np.array_split(values, 77):
        table.add(0, len(part), part.tobytes())
    assert table.rows == 20_000
    for column in range(3):
        summary = table.summary(column)
        exact = values[:, column].astype("f8")
        exact = exact[~np.isnan(exact)]
        assert summary.count == 20_000
        assert summary.missing == (100 if column == 1 else 0)
        assert summary.zeros == (exact == 0).sum()
        assert (summary.minimum, summary.maximum) == (exact.min(), exact.max())
        assert summary.mean == pytest.approx(exact.mean(), rel=1e-9)
        assert summary.deviation == pytest.approx(exact.std(), rel=1e-9)
        assert math.isnan(summary.distinct)
        assert summary.top == []
        ranks = [0.01, 0.1, 0.5, 0.9, 0.99]
        quantiles = table.quantiles(column, ranks)
        found = [(exact <= value).mean() for value in quantiles]
        assert found == pytest.approx(ranks, abs=0.03)


def test_bfloats_are_read_as_the_upper_half_of_a_float():
    floats = np.array([1.5, -2.0, 0.0, math.inf], "<f4")
    table = one("BF16")
    table.add(0, 4, (floats.view("<u4") >> 16).astype("<u2").tobytes())
    summary = table.summary(0)
    assert (summary.minimum, summary.maximum) == (-2.0, 1.5)
    assert (summary.infinite, summary.zeros) == (1, 1)


@pytest.mark.parametrize("datatype", INTEGERS)
def test_integers_of_every_width_are_counted_with_their_sign(datatype):
    dtype = np.dtype(INTEGERS[datatype])
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.max, limits.max, 1, 1, 1], dtype)
    table = one(datatype)
    table.add(0, 6, values.tobytes())
    assert table.summary(0).top == [
        ("1", 3, 0),
        (str(limits.max), 2, 0),
        (str(limits.min), 1, 0),
    ]
    assert table.summary(0).distinct == 3


def test_booleans_and_text_are_counted():
    table = TableSketch(TableSchema([("b", True, "BOOL", 1), ("t", True, "BYTES", 1)]))
    table.add(0, 4, bytes([0, 1, 1, 2]))
    texts = [b"red", b"green", b"red", b""]
    table.add(1, 4, b"".join(len(text).to_bytes(4, "little") + text for text in texts))
    assert table.summary(0).top == [("true", 3, 0), ("false", 1, 0)]
    summary = table.summary(1)
    assert summary.top == [("red", 2, 0), ("green", 1, 0)]
    assert (summary.count, summary.missing) == (4, 1)
    assert math.isnan(summary.mean)


def test_rows_of_varying_length_are_summarised_by_norm_and_mean():
    table = one("INT64", -1)
    table.add(0, 2, np.array([[3, 4], [6, 8]], "<i8").tobytes())
    table.add(0, 1, np.array([[2, 3, 6]], "<i8").tobytes())
    assert table.rows == 3
    norm, mean = table.summary(0), table.summary(1)
    assert (norm.minimum, norm.maximum) == (5.0, 10.0)
    assert table.quantiles(0, [0.5]) == [7.0]
    assert mean.maximum == 7.0


def test_projections_notice_a_shift_that_leaves_norm_and_mean_alone():
    random = np.random.default_rng(5)
    rows = random.normal(size=(3_000, 512)).astype("f4")
    pattern = np.where(random.random(512) < 0.5, -1, 1).astype("f4")
    pattern -= pattern.mean()
    moved = rows + 0.8 * pattern / np.sqrt(512) * np.sqrt(512)
    moved *= np.linalg.norm(rows, axis=1, keepdims=True) / np.linalg.norm(
        moved, axis=1, keepdims=True
    )
    reference, live = one("FP32", 512), one("FP32", 512)
    reference.add(0, len(rows), rows.tobytes())
    live.add(0, len(moved), moved.astype("f4").tobytes())
    scores = live.scores(reference)
    assert scores[0].kolmogorov_smirnov < 0.06  # the norm
    assert max(score.kolmogorov_smirnov for score in scores[2:]) > 0.2


def test_quantiles_ranks_and_histogram_agree_with_one_another():
    table = one("FP32")
    table.add(0, 100, np.arange(1, 101, dtype="<f4").tobytes())
    assert table.quantiles(0, [0, 0.01, 0.5, 1]) == [1, 1, 50, 100]
    assert table.ranks(0, [0, 1, 50, 50.5, 100, 1e9]) == [0, 0.01, 0.5, 0.5, 1, 1]
    assert table.histogram(0, [1, 11, 51, 100]) == pytest.approx([0.1, 0.4, 0.5])
    assert table.histogram(0, [-5, 0]) == [0]
    assert table.histogram(0, []) == []


def test_quantiles_of_no_rows_are_nan():
    table = one("FP32")
    assert all(math.isnan(value) for value in table.quantiles(0, [0, 0.5]))
    assert all(math.isnan(value) for value in table.ranks(0, [1.0]))
    assert math.isnan(table.summary(0).minimum)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.summary(9), "there is no feature 9, the schema has 2"),
        (lambda t: t.summary(-1), "there is no feature -1"),
        (lambda t: t.quantiles(1, [0.5]), "feature 'n' is a category"),
        (lambda t: t.quantile_sketch(1), "feature 'n' is a category"),
        (lambda t: t.distinct_sketch(0), "feature 'x' is a number"),
        (lambda t: t.histogram(0, [1, 1]), "edge 1 is followed by 1"),
        (lambda t: t.add(2, 1, b""), "there is no tensor 2, the schema has 2"),
        (lambda t: t.add(-1, 1, b""), "there is no tensor -1"),
        (lambda t: t.add(0, 2, b"abcd"), "tensor 'x': got 1 elements for 2 rows"),
        (lambda t: t.merge(one("FP64")), "the other sketch has another schema"),
        (lambda t: t.scores(one("FP64")), "the reference has another schema"),
        (lambda t: TableSketch.parse(b"PK\x03\x04"), "not a sketch of fastserve"),
    ],
)
def test_calls_that_do_not_fit_are_refused_with_the_reason(call, message):
    table = TableSketch(TableSchema([("x", True, "FP32", 1), ("n", True, "INT64", 1)]))
    with pytest.raises(CoreError, match=message) as caught:
        call(table)
    assert caught.value.code == 3


def test_container_says_its_checksum_and_version_as_documented():
    table = one("FP32")
    table.add(0, 3, np.arange(3, dtype="<f4").tobytes())
    data = table.serialize()
    assert data[:4] == b"FSSK"
    assert struct.unpack_from("<HH", data, 4) == (1, 0)
    assert struct.unpack("<I", data[-4:]) == (zlib.crc32(data[:-4]),)
    later = data[:4] + b"\x02" + data[5:]
    with pytest.raises(CoreError, match="version 2, this fastserve reads version 1") as caught:
        TableSketch.parse(later)
    assert caught.value.code == 3
    with pytest.raises(CoreError, match="the checksum of its") as caught:
        TableSketch.parse(data[:60] + b"\xff" + data[61:])
    assert caught.value.code == 15


def test_copy_goes_its_own_way():
    table = one("FP32")
    table.add(0, 1, struct.pack("<f", 1))
    copy = table.copy()
    table.add(0, 1, struct.pack("<f", 5))
    assert (copy.rows, copy.summary(0).maximum) == (1, 1)
    assert (table.rows, table.summary(0).maximum) == (2, 5)


def test_merge_with_itself_doubles_what_was_seen():
    table = one("FP32")
    table.add(0, 200, np.arange(200, dtype="<f4").tobytes())
    table.merge(table)
    assert table.rows == 400
    assert table.summary(0).count == 400
    assert table.quantiles(0, [0.5]) == [99]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    seed=st.integers(0, 2**32 - 1),
)
def test_merged_windows_say_the_same_as_one(rows, seed):
    schema = TableSchema([("x", True, "FP64", 2), ("n", True, "INT32", 1)])
    random = np.random.default_rng(seed)
    whole, merged = TableSketch(schema), TableSketch(schema)
    for count in rows:
        numbers = random.normal(size=(count, 2)).astype("<f8").tobytes()
        categories = random.integers(0, 50, count).astype("<i4").tobytes()
        window = TableSketch(schema)
        for table in (whole, window):
            table.add(0, count, numbers)
            table.add(1, count, categories)
        merged.merge(TableSketch.parse(window.serialize()))
    assert merged.rows == whole.rows == sum(rows)
    assert merged.summary(2)[:4] == whole.summary(2)[:4]
    assert merged.summary(2).top == whole.summary(2).top
    for feature in (0, 1):
        ours, theirs = merged.summary(feature), whole.summary(feature)
        assert ours[:4] == theirs[:4]
        assert ours[4:8] == pytest.approx(theirs[4:8], rel=1e-9, nan_ok=True)


def test_read_bytes_are_never_trusted_with_memory():
    """A schema that claims features whose bytes are not there is refused before they are made."""
    head = b"FSSK" + struct.pack("<HHQI", 1, 0, 0, 1000)
    tensors = b"".join(struct.pack("<QqBBH", 1, 16, 1, 12, 4) + b"%04d" % i for i in range(1000))
    body = head + tensors
    with pytest.raises(CoreError, match="it ends before its features") as caught:
        TableSketch.parse(body + struct.pack("<I", zlib.crc32(body)))
    assert caught.value.code == 15
