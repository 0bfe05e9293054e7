"""`fastserve feedback`: labels from files to a server."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "rpc"))  # test folders are not packages

from feedback_server import FeedbackServer

from fastserve.cli.feedback_screen import print_quality
from fastserve.cli.label_file import read_labels
from fastserve.errors import InvalidConfig


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    """A server with the predictions r0 to r9, each of class 1, and r10 of two rows."""
    with FeedbackServer(tmp_path).running() as server:
        monkeypatch.setenv("FASTSERVE_ENDPOINT", server.address)
        for n in range(11):
            data = np.ones(2 if n == 10 else 1, np.int64)
            output = ("label", "INT64", data.shape, data.tobytes())
            server.store.put("m", 1, f"r{n}", [output], time_ns=0)
        yield server


def write(path, text):
    path.write_text(text)
    return path


def write_parquet(path, columns):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path)
    return path


def test_csv_is_joined_and_summed_up(labelled, tmp_path, fastserve):
    rows = "".join(f"r{n},{n % 2}\n" for n in range(10))
    file = write(tmp_path / "labels.csv", f"id,label\n{rows}r10,1\nr10,0\nr0,1\n,1\n")
    outcome = fastserve("feedback", "m", file)
    assert outcome.code == 0, outcome.err
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines == [
        "OUTCOME LABELS",
        "joined 11 held against their prediction",
        "duplicate 1 their prediction had a label already",
        "invalid 1 do not fit their prediction",
        "label 12 (r0): duplicate: the prediction has its label, or one waits for it",
        "label 13 (): invalid: has no request id",
    ]
    assert labelled.measures()["accuracy"] == 0.5


def test_columns_have_the_names_that_are_given(labelled, tmp_path, fastserve):
    file = write(tmp_path / "x.csv", "when,order,paid\nmonday,r1,1\n")
    outcome = fastserve(
        "feedback", "m", file, "--id-column", "order", "--label-column", "paid", "--json"
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {
        "joined": 1, "early": 0, "late": 0, "unknown": 0, "duplicate": 0, "invalid": 0,
        "problems": [],
    }  # fmt: skip


def test_parquet_is_joined(labelled, tmp_path, fastserve):
    columns = {"id": ["r1", "r2", "r10", "r10"], "label": [1, 0, 1, 1]}
    file = write_parquet(tmp_path / "labels.parquet", columns)
    outcome = fastserve("feedback", "m", file)
    assert outcome.code == 0, outcome.err
    assert labelled.counts() == {"joined": 3}
    assert labelled.measures()["accuracy"] == 0.75


def test_exit_code_is_1_when_nothing_was_joined(labelled, tmp_path, fastserve):
    file = write(tmp_path / "labels.csv", "id,label\nr1,nan\nr2,\n")
    outcome = fastserve("feedback", "m", file)
    assert outcome.code == 1
    assert "row 0 is nan" in outcome.out


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "", "has no column 'id'; it has 'none'"),
        ("x.csv", "id,label\n", "has no labels"),
        ("x.csv", "key,label\na,1\n", "has no column 'id'; it has 'key, label'"),
        ("x.csv", "id,label\na\n", "x.csv line 2: has 1 columns, expected 2"),
        ("x.csv", 'id,label\na,"1\n', "x.csv line 2: unexpected end of data"),
        ("x.txt", "id,label\na,1\n", "expected a file named .csv or .parquet"),
        ("x.parquet", "not parquet", "x.parquet: "),
    ],
)
def test_file_that_cannot_be_read_is_said_to_be(tmp_path, fastserve, name, text, message):
    outcome = fastserve("feedback", "m", write(tmp_path / name, text))
    assert outcome.code == 2
    assert message in outcome.err


def test_error_in_the_middle_of_a_file_is_told(labelled, tmp_path, fastserve):
    rows = "".join(f"x{n},1\n" for n in range(5000))
    file = write(tmp_path / "labels.csv", f"id,label\n{rows}broken\n")
    outcome = fastserve("feedback", "m", file)
    assert outcome.code == 2
    assert "line 5002: has 1 columns" in outcome.err


def test_unknown_model_is_one_line(labelled, tmp_path, fastserve):
    outcome = fastserve("feedback", "absent", write(tmp_path / "x.csv", "id,label\na,1\n"))
    assert outcome.code == 1
    assert "'absent' is not found" in outcome.err


def test_values_are_numbers_where_they_look_like_it(tmp_path):
    text = "id,label\na,1\nb, 1.5\nc,spam\nd,1\nd,x\ne,\n"
    labels = list(read_labels(write(tmp_path / "x.csv", text), "id", "label"))
    assert [label.value for label in labels[:4]] == [[1], [1.5], ["spam"], ["1", "x"]]
    assert np.isnan(labels[4].value[0])


def test_id_that_never_ends_is_no_request(tmp_path, monkeypatch):
    monkeypatch.setattr("fastserve.cli.label_file.MOST_ROWS", 3)
    file = write(tmp_path / "x.csv", "id,label\n" + "a,1\n" * 4)
    with pytest.raises(InvalidConfig, match="rows in a row have the id 'a'"):
        list(read_labels(file, "id", "label"))


def test_quality_is_shown_as_tables(labelled, tmp_path, fastserve):
    rows = "".join(f"r{n},{n % 2}\n" for n in range(10))
    assert (
        fastserve("feedback", "send", "m", write(tmp_path / "x.csv", f"id,label\n{rows}")).code == 0
    )
    outcome = fastserve("feedback", "show", "m", "--window", "1h")
    assert outcome.code == 0, outcome.err
    lines = [" ".join(line.split()) for line in outcome.out.splitlines()]
    assert lines[0].startswith("m: labels: 10 joined; mean delay ")
    assert lines[2].startswith("m/1: ")
    assert lines[2].endswith("still running, 10 labelled rows of 10")
    assert lines[3:6] == [
        "too few to be judged: feedback.minimum_labels is 100", "",
        "MEASURE VALUE BOUND LAST WINDOWS",
    ]  # fmt: skip
    assert lines[6] == "accuracy 0.5"
    assert lines[-1] == "concept drift, page_hinkley: quiet"


def test_quality_is_shown_as_json(labelled, fastserve):
    outcome = fastserve("feedback", "show", "m", "--json")
    assert outcome.code == 0, outcome.err
    assert [(each["model"], each["versions"]) for each in json.loads(outcome.out)] == [("m", [])]
    assert fastserve("feedback", "show").out == "no label has come yet\n"
    assert fastserve("feedback", "show", "m", "--window", "7x").code == 2


def test_quality_shows_segments_bounds_and_trends(capsys):
    print_quality([
        {
            "model": "m\x1b[2J",
            "labels": {"late": 2, "joined": 1234},
            "mean_delay_seconds": 7200.0,
            "versions": [{
                "version": 3, "labelled_rows": 1234, "is_over": True,
                "window_start": 0.0, "window_end": 3600.0, "minimum_labels": 100,
                "segments": [
                    {"name": "all", "rows": 1000, "measures": {"accuracy": 0.75}},
                    {"name": "de", "rows": 990, "measures": {"accuracy": 0.5}},
                    {"name": "fr", "rows": 10, "measures": {}},
                ],
                "gaps": {"selection_rate_gap": 0.25},
                "bounds": {"accuracy": 0.9, "auc": 0.8},
                "history": [{"measure": "accuracy", "values": [1.0, float("nan"), 0.5]}],
                "detectors": [
                    {"name": "adwin", "has_alarm": True,
                     "mean_error_before": 0.1, "mean_error_after": 0.25},
                ],
            }],
        }
    ])  # fmt: skip
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "m?[2J: labels: 1,234 joined, 2 late; mean delay 7,200 s", "",
        "m?[2J/3: 1970-01-01 00:00:00Z to 1970-01-01 01:00:00Z, over, 1,000 labelled rows of 1,234",
        "", "MEASURE VALUE BOUND LAST WINDOWS", "accuracy 0.75 0.9 █ ▁",
        "selection_rate_gap 0.25", "auc 0.8", "",
        "SEGMENT ROWS ACCURACY", "de 990 0.5", "fr 10", "",
        "concept drift, adwin: ALARM, mean error 0.1 -> 0.25",
    ]  # fmt: skip
