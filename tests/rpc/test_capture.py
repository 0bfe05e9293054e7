"""Status and Export of fastserve.v1.Capture on each transport, through its client."""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from capture_server import CaptureServer

sys.path.append(str(Path(__file__).parents[1] / "observe"))  # test folders are not packages

from captured import open_capture, request, tensor

from fastserve.client import CaptureClient
from fastserve.errors import InvalidTensor, ModelNotFound, Unsupported


@pytest.fixture
def captured(tmp_path):
    """12 requests of 500 rows, hard to compress, and a label."""
    noise = np.random.default_rng(1)
    queue, capture = open_capture(tmp_path / "capture", file_rows=2000)
    for number in range(12):
        x = noise.random((500, 60))
        queue.put(request(number, rows=500, inputs=[tensor("x", x)]))
    capture.labels.put("digits", "id-3", 1, 1.0)
    capture.flush()
    yield capture
    capture.close()


@pytest.fixture
def client(tmp_path, captured, transport):
    with (
        CaptureServer(tmp_path, captured, transport).running() as server,
        CaptureClient(server.address, timeout=30) as client,
    ):
        yield client


def test_export_streams_a_whole_file_and_then_its_summary(client):
    *chunks, summary = client.export("digits", with_labels=True)
    assert len(chunks) > 2
    table = pq.ParquetFile(io.BytesIO(b"".join(chunks))).read()
    assert table.num_rows == summary.rows == 6000
    assert summary.labelled_rows == 500
    assert (summary.files, summary.skipped) == (3, ())


def test_export_keeps_to_what_was_asked_for(client):
    *chunks, summary = client.export(
        "digits", version=1, since=1_700_000_002, until=1_700_000_005, only_labelled=True, csv=True
    )
    assert b"".join(chunks).startswith(b'"_id","_row"')
    assert summary.rows == 500


def test_export_that_is_left_early_gives_its_place_back(client):
    for _ in range(5):
        export = client.export("digits")
        next(export)
        export.close()
    *_, summary = client.export("digits")
    assert summary.rows == 6000


def test_export_of_nothing_is_not_found(client):
    with pytest.raises(ModelNotFound, match="nothing was captured of a model 'spam'"):
        list(client.export("spam"))


def test_export_refuses_negative_bounds(client):
    with pytest.raises(InvalidTensor, match="expected 0 or more"):
        list(client.export("digits", since=-1))


def test_status_has_the_counters_and_the_folder(client, captured):
    found = client.status()
    assert found["folder"] == str(captured.root)
    assert (found["offered"], found["captured"], found["pending"]) == (12, 12, 0)
    assert (found["rows"], found["labels_stored"]) == (6000, 1)
    (version,) = found["versions"]
    assert (version["model"], version["version"], version["files"]) == ("digits", 1, 3)
    assert 0 < version["bytes"] < found["disk_bytes"]


def test_server_without_capture_says_how_to_get_it(tmp_path, transport):
    with (
        CaptureServer(tmp_path, None, transport).running() as server,
        CaptureClient(server.address, timeout=30) as client,
    ):
        for ask in (client.status, lambda: list(client.export("digits"))):
            with pytest.raises(Unsupported, match=r"install fastserve\[capture\]"):
                ask()
