"""`fastserve capture`: over a server, and on the files themselves."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

# Test folders are not packages.
sys.path.append(str(Path(__file__).parents[1] / "rpc"))
sys.path.append(str(Path(__file__).parents[1] / "observe"))

from capture_server import CaptureServer
from captured import files_of, open_capture, request


@pytest.fixture
def captured(tmp_path, monkeypatch):
    queue, capture = open_capture(tmp_path / "capture", file_rows=4)
    for number in range(4):
        queue.put(request(number))
    capture.labels.put("digits", "id-1", "seven", 1.0)
    capture.flush()
    with CaptureServer(tmp_path, capture).running() as server:
        monkeypatch.setenv("FASTSERVE_ENDPOINT", server.address)
        yield tmp_path / "capture"
    capture.close()


@pytest.fixture(params=["server", "folder"])
def where(request, captured):
    """Options that ask the server, or its files."""
    return () if request.param == "server" else ("--folder", captured)


def test_export_writes_one_file(fastserve, where, tmp_path):
    out = tmp_path / "train.parquet"
    done = fastserve("capture", "export", "digits", "--out", out, "--with-labels", *where)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{out}: 8 rows, 2 with a label, of 2 files\n"
    assert pq.ParquetFile(out).read()["_label"].to_pylist() == [
        None,
        None,
        "seven",
        "seven",
        *[None] * 4,
    ]
    assert list(tmp_path.glob(".*.partial")) == []


def test_export_writes_csv_of_a_time(fastserve, where, tmp_path):
    out = tmp_path / "train.csv"
    done = fastserve(
        "capture", "export", "digits", "--out", out, "--csv", "--since", "2023-11-14T22:13:21Z",
        "--until", "2023-11-14T22:13:22", "--json", *where,
    )  # fmt: skip
    assert done.code == 0
    assert json.loads(done.out) == {"rows": 2, "labelled_rows": 0, "files": 2, "skipped": []}
    assert len(out.read_text().splitlines()) == 3


def test_export_names_what_it_passed_over(fastserve, where, captured, tmp_path):
    files_of(captured)[0].write_bytes(b"nothing")
    done = fastserve("capture", "export", "digits", "--out", tmp_path / "train.parquet", *where)
    assert done.code == 0
    assert done.err.startswith(f"skipped: digits/1/{files_of(captured)[0].name}: ")


def test_export_that_fails_leaves_what_was_there(fastserve, where, tmp_path):
    out = tmp_path / "train.parquet"
    out.write_text("before")
    done = fastserve("capture", "export", "spam", "--out", out, *where)
    assert done.code == 1
    assert "nothing was captured of a model 'spam'" in done.err
    assert out.read_text() == "before"
    assert list(tmp_path.glob(".*.partial")) == []


def test_export_refuses_what_is_no_time(fastserve, tmp_path):
    done = fastserve("capture", "export", "digits", "--out", tmp_path / "x", "--since", "May")
    assert done.code == 2
    assert "--since May" in done.err.replace("'", "")


def test_status_shows_the_counters(fastserve, captured):
    done = fastserve("capture", "status")
    assert done.code == 0
    assert "requests: 4 offered, 4 captured, 0 dropped, 0 failed, 0 pending" in done.out
    assert "labels: 1 offered, 1 stored" in done.out
    assert done.out.splitlines()[-1].split()[:3] == ["digits", "1", "2"]
    assert json.loads(fastserve("capture", "status", "--json").out)["captured"] == 4
