"""A training set out of captured files, read back without this project's code."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from captured import files_of, open_capture, request, rules, tensor

from fastserve.errors import InvalidConfig, ModelNotFound, VersionNotFound
from fastserve.observe.capture_export import Export, ExportQuery

FIRST = 1_700_000_000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "capture"


def write(folder, *requests, labels=(), versions=None, **settings):
    queue, capture = open_capture(folder, *(versions or [rules(), rules(version=2)]), **settings)
    for one in requests:
        assert queue.put(one)
    for name, value in labels:
        assert capture.labels.put("digits", name, value, 5.0)
    capture.close()
    assert capture.stats().failed == 0


def export(folder, **query):
    done = Export(folder, ExportQuery(**{"model": "digits"} | query))
    data = b"".join(done.chunks())
    return data, done.summary


def table(folder, **query):
    data, summary = export(folder, **query)
    result = pq.ParquetFile(io.BytesIO(data)).read()
    assert result.num_rows == summary.rows
    return result


def ids(result):
    return result["_id"].to_pylist()[::2]


def test_export_joins_all_files_in_order(folder):
    write(folder, *(request(n) for n in range(10)), file_rows=4)
    result = table(folder)
    assert ids(result) == [f"id-{n}" for n in range(10)]
    assert result["x"].to_pylist()[2] == [100, 101, 102]
    # As the files have them: names of tensors, so that a profile of features can read it.
    assert result.schema.field("x").type == pa.list_(pa.float32(), 3)
    assert result.schema.field("x").metadata[b"direction"] == b"input"


def test_export_keeps_to_a_version_and_a_time(folder):
    write(folder, *(request(n, version=1 + n % 2) for n in range(10)))
    assert ids(table(folder, version=2)) == [f"id-{n}" for n in range(1, 10, 2)]
    assert sorted(ids(table(folder, since=FIRST + 3, until=FIRST + 6))) == ["id-3", "id-4", "id-5"]
    assert table(folder, since=FIRST + 100).num_rows == 0


def test_export_joins_labels_by_id(folder):
    write(folder, *(request(n) for n in range(4)), labels=[("id-1", 7), ("id-3", 9), ("id-8", 1)])
    result = table(folder, with_labels=True)
    assert result["_label"].to_pylist() == [None, None, 7, 7, None, None, 9, 9]
    assert result["_label_time"][2].as_py().timestamp() == 5
    only = table(folder, only_labelled=True)
    assert only["_label"].to_pylist() == [7, 7, 9, 9]
    assert export(folder, only_labelled=True)[1].labelled_rows == 4


def test_export_fits_files_of_different_columns(folder):
    def texts(number, *values, version=1):
        return request(number, version=version, inputs=[tensor("x", list(values))])

    wide = np.arange(8, dtype=np.float32).reshape(2, 4)
    more = [tensor("x", wide), tensor("z", np.array([1, 2], np.int64))]
    every = [rules(tensors=("x", "y", "z")), rules(version=2)]
    write(folder, request(0), request(1, inputs=more), versions=every)
    result = table(folder)
    assert [len(row) for row in result["x"].to_pylist()] == [3, 3, 4, 4]
    assert result["z"].to_pylist() == [None, None, 1, 2]
    write(folder.with_name("other"), texts(0, b"a", b"b"), texts(1, b"\xff", b"c"))
    assert table(folder.with_name("other"))["x"].to_pylist() == [b"a", b"b", b"\xff", b"c"]


def test_export_of_one_value_a_row_and_of_several_is_a_list(folder):
    one = request(0, inputs=[tensor("x", np.array([[1], [2]], np.float32))])
    write(folder, one, request(1))
    assert table(folder)["x"].to_pylist() == [[1], [2], [100, 101, 102], [103, 104, 105]]


def test_export_refuses_versions_that_are_no_one_table(folder):
    write(folder, request(0), request(1, version=2, inputs=[tensor("x", [b"a", b"b"])]))
    with pytest.raises(InvalidConfig, match=r"column 'x' is .* export one version at a time"):
        export(folder)
    assert table(folder, version=2)["x"].to_pylist() == ["a", "b"]


def test_broken_file_is_named_and_passed_over(folder):
    write(folder, *(request(n) for n in range(3)), file_rows=2)
    first, second, third = files_of(folder)
    first.write_bytes(first.read_bytes()[:-20])
    data = bytearray(second.read_bytes())
    data[4:200] = bytes(196)
    second.write_bytes(data)
    result = table(folder)
    assert ids(result) == ["id-2"]
    summary = export(folder)[1]
    assert summary.files == 1
    assert [line.partition(":")[0] for line in summary.skipped] == [
        f"digits/1/{first.name}", f"digits/1/{second.name}"
    ]  # fmt: skip
    second.write_bytes(b"PAR1")
    third.write_bytes(b"")
    with pytest.raises(ModelNotFound, match="that can be read"):
        export(folder)


def test_file_that_is_removed_meanwhile_is_named(folder):
    noise = np.random.default_rng(1)
    many = [
        request(n, rows=4000, inputs=[tensor("x", noise.random((4000, 50), np.float32))])
        for n in range(2)
    ]
    write(folder, *many, request(2), file_rows=4000)
    done = Export(folder, ExportQuery("digits"))
    chunks = done.chunks()
    first = next(chunks)
    files_of(folder)[2].unlink()
    data = b"".join([first, *chunks])
    assert pq.ParquetFile(io.BytesIO(data)).metadata.num_rows == done.summary.rows == 8000
    assert len(done.summary.skipped) == 1


def test_what_was_not_captured_is_not_found(folder):
    write(folder, request())
    with pytest.raises(ModelNotFound, match="nothing was captured of a model 'spam'"):
        export(folder, model="spam")
    with pytest.raises(VersionNotFound, match="version 9 of 'digits'; there are 1"):
        export(folder, version=9)
    for name in ("..", "../capture", "digits/1", ""):
        with pytest.raises(ModelNotFound):
            export(folder, model=name)


def test_csv_has_a_column_for_each_value(folder):
    write(folder, request(0), labels=[("id-0", "good")])
    data, summary = export(folder, format="csv", with_labels=True)
    first, second = csv.DictReader(io.StringIO(data.decode()))
    assert summary.rows == 2
    assert [first[f"x[{n}]"] for n in range(3)] == ["0", "1", "2"]
    assert (second["y"], second["_label"], second["_row"]) == ("12", "good", "1")


def test_csv_writes_what_has_no_columns_as_json(folder):
    ragged = [tensor("x", np.zeros((2, n), np.int32)) for n in (2, 3)]
    write(folder, *(request(n, inputs=[x]) for n, x in enumerate(ragged)))
    rows = list(csv.DictReader(io.StringIO(export(folder, format="csv")[0].decode())))
    assert [row["x"] for row in rows] == ["[0,0]", "[0,0]", "[0,0,0]", "[0,0,0]"]


def test_export_is_made_in_pieces(folder):
    noise = np.random.default_rng(1)
    many = [
        request(n, rows=1000, inputs=[tensor("x", noise.random((1000, 50)))]) for n in range(20)
    ]
    write(folder, *many, file_rows=4000)
    sizes = [len(chunk) for chunk in Export(folder, ExportQuery("digits")).chunks()]
    assert len(sizes) > 5
    assert max(sizes) <= 1 << 20
