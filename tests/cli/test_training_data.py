"""Training rows of every form become the model's inputs, or the file's fault is named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastserve.cli.training_data import read_training
from fastserve.client import TensorMetadata
from fastserve.errors import InvalidTensor, Unsupported

X = TensorMetadata("x", "FP32", (-1, 3))
KIND = TensorMetadata("kind", "INT64", (-1, 1))
CITY = TensorMetadata("city", "BYTES", (-1,))


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "train.csv"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def parquet(tmp_path):
    def write(**columns):
        path = tmp_path / "train.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


def test_csv_columns_in_order_are_the_only_input_and_label_its_features(csv):
    data = read_training(csv("age,height,weight\n1,2,3\n4,5,6\n"), [X])
    np.testing.assert_array_equal(data.arrays["x"], np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    assert data.labels == {"x[0]": "age", "x[1]": "height", "x[2]": "weight"}


def test_csv_columns_by_name_leave_the_target_out(csv):
    path = csv("target,x[1],kind,x[0],x[2],city\n0,2,7,1,3,Oslo\n1,5,8,4,6,\n")
    data = read_training(path, [X, KIND, CITY])
    assert data.arrays["x"].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert data.arrays["kind"].tolist() == [[7], [8]]
    assert data.arrays["city"].tolist() == ["Oslo", ""]
    assert data.left_out == ("target",)


def test_columns_are_found_by_the_labels_of_model_toml(csv):
    labels = {"x[2]": "weight", "x[0]": "age", "x[1]": "height"}
    data = read_training(csv("weight,id,height,age\n3,9,2,1\n"), [X], labels=labels)
    assert data.arrays["x"].tolist() == [[1, 2, 3]]
    assert data.labels == labels
    assert data.left_out == ("id",)


def test_chosen_columns_are_taken_in_their_order(csv):
    data = read_training(csv("c,target,a,b\n3,0,1,2\n"), [X], columns=["a", "b", "c"])
    assert data.arrays["x"].tolist() == [[1, 2, 3]]


def test_empty_cell_is_a_missing_value(csv):
    data = read_training(csv("a,b,c\n1,,3\n"), [X])
    assert np.isnan(data.arrays["x"][0, 1])


def test_parquet_keeps_numbers_text_and_gaps(parquet):
    path = parquet(
        **{"x[0]": [1.5, None], "x[1]": [2.0, 3.0], "x[2]": pa.array([4, 5], pa.int32())},
        kind=pa.array([7, 8], pa.int16()),
        city=["Oslo", None],
    )
    data = read_training(path, [X, KIND, CITY])
    np.testing.assert_array_equal(data.arrays["x"], np.array([[1.5, 2, 4], [np.nan, 3, 5]]))
    assert data.arrays["x"].dtype == np.float32
    assert data.arrays["kind"].tolist() == [[7], [8]]
    assert data.arrays["city"].tolist() == ["Oslo", ""]


def test_parquet_lists_are_rows(parquet):
    data = read_training(parquet(x=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), [X])
    assert data.arrays["x"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_npz_arrays_are_inputs_by_name(tmp_path):
    path = tmp_path / "train.npz"
    np.savez(path, x=np.ones((4, 3), np.float32), labels=np.zeros(4))
    data = read_training(path, [X])
    assert data.arrays["x"].shape == (4, 3)
    assert data.left_out == ("labels",)


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        ("a,b\n1,2\n", [X], "got 2 columns, expected 3, one for each value of a row of input 'x'"),
        ("a,b,c\n", [X], "holds no row"),
        ("x[0],kind\n1,2\n", [X, KIND, CITY], "no column is for input 'city'"),
        ("kind\n1\n\n,\n", [KIND], "row 2 has 2 values, expected 1 as the header"),
        ("kind,a\n1,0\n,0\n", [KIND], "column 'kind' lacks a value in row 2, and INT64"),
        ("kind\n1.5\n", [KIND], "input 'kind': got '1.5'"),
    ],
)
def test_file_that_does_not_fit_is_refused_with_its_fault(csv, text, inputs, message):
    with pytest.raises(InvalidTensor) as error:
        read_training(csv(text), inputs)
    assert message in error.value.message


def test_chosen_column_that_is_not_there_is_named(csv):
    with pytest.raises(InvalidTensor, match="has no column 'd'; it has 'a', 'b', 'c'"):
        read_training(csv("a,b,c\n1,2,3\n"), [X], columns=["a", "b", "d"])


def test_inputs_of_different_lengths_are_refused(tmp_path):
    path = tmp_path / "train.npz"
    np.savez(path, x=np.ones((4, 3), np.float32), kind=np.ones((5, 1), np.int64))
    with pytest.raises(InvalidTensor, match="different numbers of rows: x 4, kind 5"):
        read_training(path, [X, KIND])


def test_lists_of_unequal_lengths_are_refused(parquet):
    with pytest.raises(InvalidTensor, match="column 'x' has lists of unequal lengths"):
        read_training(parquet(x=[[1.0], [2.0, 3.0]]), [X])


def test_file_that_is_no_parquet_is_refused(tmp_path):
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InvalidTensor, match="cannot be read as parquet"):
        read_training(path, [X])


def test_unknown_ending_is_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(InvalidTensor, match=r"ends in \.parquet, \.csv or \.npz"):
        read_training(tmp_path / "train.xlsx", [X])


def test_parquet_without_pyarrow_says_what_to_install(parquet, monkeypatch):
    path = parquet(x=[[1.0, 2.0, 3.0]])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(Unsupported, match=r"pip install 'fastserve\[capture\]'"):
        read_training(path, [X])
