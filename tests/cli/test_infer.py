import csv
import io
import json

import numpy as np
import pytest
from oip_server import WEIGHTS

ROWS = [[1.0, 0.0, 2.0], [0.5, 0.5, 0.5], [3.0, -1.0, 0.25]]
EXPECTED = np.array(ROWS, np.float32) @ WEIGHTS


@pytest.fixture
def files(tmp_path):
    """The same three rows in every form that the command reads."""
    array = np.array(ROWS)
    np.save(tmp_path / "rows.npy", array)
    np.savez(tmp_path / "rows.npz", x=array)
    text = "\n".join(",".join(map(str, row)) for row in ROWS)
    (tmp_path / "rows.csv").write_text(f"a,b,c\n{text}\n")
    (tmp_path / "named.csv").write_text(f"x[0],x[1],x[2]\n{text}\n")
    (tmp_path / "plain.json").write_text(json.dumps(ROWS))
    (tmp_path / "named.json").write_text(json.dumps({"x": ROWS}))
    flat = [value for row in ROWS for value in row]
    protocol = {"inputs": [{"name": "x", "shape": [3, 3], "datatype": "FP32", "data": flat}]}
    (tmp_path / "protocol.json").write_text(json.dumps(protocol))
    return tmp_path


def outputs_of(outcome):
    assert outcome.code == 0, outcome.err
    return {output["name"]: output for output in json.loads(outcome.out)["outputs"]}


@pytest.mark.parametrize(
    "name",
    ["rows.npy", "rows.npz", "rows.csv", "named.csv", "plain.json", "named.json", "protocol.json"],
)
def test_infer_reads_data_in_every_form(peer, fastserve, files, name):
    (output,) = outputs_of(
        fastserve("infer", "linear", "--data", files / name, "--format", "json")
    ).values()
    assert (output["name"], output["datatype"], output["shape"]) == ("y", "FP32", [3, 2])
    np.testing.assert_allclose(output["data"], EXPECTED, rtol=1e-6)


@pytest.mark.parametrize(
    "value", ["@rows.npy", "@rows.csv", "@plain.json", json.dumps(ROWS)], ids=str
)
def test_infer_reads_one_input_in_every_form(peer, fastserve, files, monkeypatch, value):
    monkeypatch.chdir(files)
    outcome = fastserve("infer", "linear", "--input", f"x={value}", "--json")
    np.testing.assert_allclose(outputs_of(outcome)["y"]["data"], EXPECTED, rtol=1e-6)


def test_infer_takes_several_inputs_and_chosen_outputs(peer, fastserve, tmp_path):
    np.save(tmp_path / "left.npy", np.array([[1.0], [2.0]]))
    outcome = fastserve(
        "infer", "pair", "--input", f"left=@{tmp_path}/left.npy", "--input", "right=[[10],[20]]",
        "--output", "sum", "--json",
    )  # fmt: skip
    assert {name: out["data"] for name, out in outputs_of(outcome).items()} == {
        "sum": [[11.0], [22.0]]
    }


def test_infer_takes_csv_columns_by_the_names_of_inputs(peer, fastserve, tmp_path):
    (tmp_path / "pair.csv").write_text("right,left\n10,1\n20,2\n")
    outcome = fastserve("infer", "pair", "--data", tmp_path / "pair.csv", "--json")
    assert outputs_of(outcome)["difference"]["data"] == [[-9.0], [-18.0]]


def test_infer_takes_one_row_without_its_outer_list(peer, fastserve):
    outcome = fastserve("infer", "linear", "--input", "x=[1, 0, 2]", "--json")
    np.testing.assert_allclose(outputs_of(outcome)["y"]["data"], EXPECTED[:1], rtol=1e-6)


def test_infer_carries_text_and_truth_values(peer, fastserve):
    outcome = fastserve("infer", "echo_bytes", "--input", 'x=[["é", ""]]', "--json")
    assert outputs_of(outcome)["y"] == {
        "name": "y", "datatype": "BYTES", "shape": [1, 2], "data": [["é", ""]],
    }  # fmt: skip
    outcome = fastserve("infer", "echo_bool", "--input", "x=[[true, false]]", "--json")
    assert outputs_of(outcome)["y"]["data"] == [[True, False]]


def test_infer_prints_numbers_that_json_lacks_as_strings_and_reads_them_back(peer, fastserve):
    value = '[["NaN", "Infinity", "-Infinity"]]'
    outcome = fastserve("infer", "echo_fp64", "--input", f"x={value}", "--json")
    assert outputs_of(outcome)["y"]["data"] == json.loads(value)


def test_infer_prints_a_table_of_limited_rows(peer, fastserve, files):
    outcome = fastserve("infer", "linear", "--data", files / "rows.csv", "--rows", "2")
    lines = outcome.out.splitlines()
    assert lines[0] == "model linear, version 1, 3 rows"
    assert lines[2].split() == ["row", "y[0]", "y[1]"]
    assert lines[3].split() == ["0", "11", "14"]
    assert lines[-1] == "... 1 more rows; --rows 0 shows all"
    assert len(lines) == 6


def test_infer_writes_csv_that_it_can_read(peer, fastserve, files, tmp_path):
    outcome = fastserve("infer", "echo_fp32", "--data", files / "rows.npz", "--format", "csv")
    header, *rows = csv.reader(io.StringIO(outcome.out))
    assert header == ["y[0]", "y[1]", "y[2]"]
    assert [[float(cell) for cell in row] for row in rows] == ROWS
    (tmp_path / "again.csv").write_text(outcome.out.replace("y[", "x["))
    again = fastserve("infer", "echo_fp32", "--data", tmp_path / "again.csv", "--format", "csv")
    assert again.out == outcome.out


def test_infer_shows_wide_outputs_in_one_cell(peer, fastserve):
    value = json.dumps([list(range(20))])
    outcome = fastserve("infer", "echo_int32", "--input", f"x={value}")
    assert "20: 0 1 2 3 4 5 6 7 ..." in outcome.out


def test_infer_sends_token_and_version(peer, fastserve, tmp_path):
    (tmp_path / "tokens").write_text("# ours\n\nfirst-token\nsecond-token\n")
    fastserve(
        "infer", "linear", "--input", "x=[1,2,3]", "--version", "1",
        "--token-file", tmp_path / "tokens",
    )  # fmt: skip
    (seen,) = peer.seen
    assert seen.metadata["authorization"] == "Bearer first-token"
    assert seen.request.model_version == "1"


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        ("linear", ["--input", "z=[1]"], "no input 'z'; its inputs are: x FP32 [-1, 3]"),
        ("pair", ["--input", "left=[[1]]"], "no data for input 'right' of model 'pair'"),
        ("linear", ["--input", "x=[[1,2],[3]]"], "input 'x': got lists of unequal lengths"),
        ("linear", ["--input", 'x=[["a",2,3]]'], "input 'x': got 'a' at [0, 0], expected FP32"),
        ("linear", ["--input", "x=[[[1,2]]]"], "input 'x': got shape [1, 1, 2], expected [-1, 3]"),
        ("linear", ["--input", "x=oops"], "input 'x': 'oops' is not JSON"),
        ("linear", ["--input", "x=@absent.npy"], "absent.npy: cannot be read"),
        ("linear", ["--input", "x"], "--input 'x': expected NAME=@FILE or NAME=JSON"),
        ("echo_int8", ["--input", "x=[[1.5]]"], "got 1.5 (float64), expected values that INT8"),
        ("echo_int8", ["--input", "x=[[300]]"], "got 300 (int64), expected values that INT8"),
        ("echo_fp16", ["--input", "x=[[1e9]]"], "input 'x': got 1000000000.0 (float64)"),
        ("echo_bytes", ["--input", "x=[[1]]"], "input 'x': got numbers, expected text (BYTES)"),
        ("absent", ["--input", "x=[1]"], "Request for unknown model: 'absent' is not found"),
    ],
)  # fmt: skip
def test_infer_says_in_one_line_what_is_wrong(peer, fastserve, model, arguments, words):
    outcome = fastserve("infer", model, *arguments)
    assert outcome.code == 1
    assert outcome.err.startswith("fastserve: ")
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty, expected a header line and rows"),
        ("a,b,c\n1,2\n", "row 1 has 2 values, expected 3 as the header"),
        ("a,b\n1,2\n", "got 2 columns, expected 3, one for each value of a row of input x FP32"),
        ("a,b,c\n1,2,x\n", "got 'x' at [0, 2], expected FP32"),
    ],
)
def test_infer_says_which_row_of_a_csv_file_is_wrong(peer, fastserve, tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    outcome = fastserve("infer", "linear", "--data", path)
    assert outcome.code == 1
    assert words in outcome.err


def test_infer_refuses_objects_in_an_npy_file_without_running_them(peer, fastserve, tmp_path):
    np.save(tmp_path / "bad.npy", np.array([{}], object), allow_pickle=True)
    outcome = fastserve("infer", "linear", "--data", tmp_path / "bad.npy")
    assert outcome.code == 1
    assert "cannot be read as .npy" in outcome.err


def test_infer_without_input_is_wrong_usage(peer, fastserve):
    outcome = fastserve("infer", "linear")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no input: give --data FILE or --input NAME=@FILE" in outcome.err


def test_infer_of_no_rows_prints_no_rows(peer, fastserve, tmp_path):
    (tmp_path / "none.csv").write_text("x[0],x[1],x[2]\n")
    outcome = fastserve("infer", "linear", "--data", tmp_path / "none.csv")
    assert outcome.code == 0, outcome.err
    assert "0 rows" in outcome.out
