"""Labels that come back: kept beside the captured rows, each counted."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from captured import Clock, open_capture, rules

from fastserve._core import core
from fastserve.observe.capture_folder import CaptureFolder
from fastserve.observe.capture_labels import LabelSink
from fastserve.observe.label_index import LabelIndex


@pytest.fixture
def folder(tmp_path):
    folder = CaptureFolder(tmp_path / "capture", max_bytes=1 << 20, min_free_bytes=0)
    yield folder
    folder.close()


def sink_of(folder, is_captured=lambda _model, _id: True, **options):
    return LabelSink(folder, is_captured=is_captured, clock=Clock(), **options)


def stored(folder):
    files = sorted(folder.root.rglob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def assert_law(sink):
    counts = sink.counts
    settled = counts.stored + counts.unsampled + counts.dropped + counts.failed
    assert counts.offered == settled + counts.pending


def test_label_is_a_line_beside_the_model_s_files(folder):
    sink = sink_of(folder)
    assert sink.put("digits", "id-1", 7, 12.5)
    assert sink.counts.pending == 1
    sink.close()
    (path,) = folder.root.rglob("*.jsonl")
    assert path.parent == folder.root / "digits" / "labels"
    assert path.read_bytes() == b'{"id":"id-1","label":7,"time":12.5}\n'
    assert (sink.counts.stored, sink.counts.pending) == (1, 0)
    assert folder.size_bytes == path.stat().st_size


def test_label_of_a_request_that_was_not_sampled_is_counted_and_not_kept(tmp_path):
    _, capture = open_capture(tmp_path / "capture", rules(share=0.5))
    for number in range(200):
        capture.labels.put("digits", f"id-{number}", number, 1.0)
    capture.labels.put("unknown", "id", 1, 1.0)
    capture.labels.put("digits", "", 1, 1.0)
    capture.close()
    kept = {line["id"] for line in stored(capture._folder)}
    # The very ids whose requests are captured.
    assert kept == {f"id-{n}" for n in range(200) if core.is_captured(0.5, f"id-{n}", 0, 0)}
    assert capture.labels.counts.unsampled == 202 - len(kept)
    assert_law(capture.labels)


def test_label_that_is_no_json_is_dropped(folder):
    sink = sink_of(folder)
    assert not sink.put("digits", "id", object(), 1.0)
    assert sink.counts.dropped == 1


def test_queue_of_labels_is_bounded(folder):
    sink = sink_of(folder, max_queued_bytes=1000)
    for number in range(100):
        sink.put("digits", f"id-{number}", "x" * 50, 1.0)
    assert 0 < sink.counts.pending < 20
    assert sink.counts.dropped == 100 - sink.counts.pending
    sink.write_all()
    assert sink.put("digits", "id", 1, 1.0)
    sink.close()
    assert not sink.put("digits", "id", 1, 1.0)
    assert_law(sink)


def test_files_of_labels_rotate_and_fall_to_the_bound(folder):
    sink = sink_of(folder, file_bytes=200)
    folder._max_bytes = 600
    for number in range(60):
        sink.put("digits", f"id-{number:02}", 1, 1.0)
        sink.write_all()
    assert sum(path.stat().st_size for path in folder.root.rglob("*.jsonl")) <= 600
    assert folder.size_bytes <= 600
    assert stored(folder)[-1]["id"] == "id-59"
    assert folder.removed_files > 5


def test_low_disk_fails_labels_and_counts_them(folder):
    sink = sink_of(folder)
    folder._min_free_bytes = 1 << 62
    sink.put("digits", "id", 1, 1.0)
    sink.write_all()
    assert sink.counts.failed == 1
    folder._min_free_bytes = 0
    sink.put("digits", "id", 1, 1.0)
    sink.close()
    assert sink.counts.stored == 1
    assert_law(sink)


def index_of(tmp_path, *lines):
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                              for line in lines))  # fmt: skip
    return LabelIndex([path])


def label(name, value, time=1.0):
    return {"id": name, "label": value, "time": time}


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([True, False], "bool", [True, False]),
        ([1, 2], "int64", [1, 2]),
        ([1, 2.5], "double", [1.0, 2.5]),
        (["a", "b"], "string", ["a", "b"]),
        ([1, "b"], "string", ["1", '"b"']),
        ([[1, 2], [3]], "int64", [1, 3]),
        ([{"a": 1}, 2], "string", ['{"a":1}', "2"]),
        ([], "string", [None, None]),
    ],
)
def test_index_gives_labels_one_type(tmp_path, values, kind, found):
    lines = [label(f"id-{n}", value) for n, value in enumerate(values)]
    with index_of(tmp_path, *lines) as index:
        labels, _ = index.find(["id-0", "id-1"], [0, 0])
        assert (str(index.type), labels.to_pylist()) == (kind, found)


def test_index_gives_each_row_of_a_request_its_own_value(tmp_path):
    with index_of(tmp_path, label("a", [5, 6]), label("b", 7)) as index:
        labels, times = index.find(["a", "a", "a", "b", "b"], [1, 0, 2, 0, 1])
        assert labels.to_pylist() == [6, 5, None, 7, 7]
        assert times.null_count == 1


def test_index_takes_the_latest_label_and_passes_lines_that_are_cut_off(tmp_path):
    lines = [label("a", 1, 5.0), label("a", 2, 9.0), label("a", 3, 7.0), b'{"id":"b","la']
    with index_of(tmp_path, *lines) as index:
        labels, times = index.find(["a", "b", None, "a"], [0, 0, 0, 1])
        assert labels.to_pylist() == [2, None, None, 2]
        assert times[0].as_py().timestamp() == 9


def test_index_finds_more_ids_than_one_query_takes(tmp_path):
    with index_of(tmp_path, *(label(f"id-{n}", n) for n in range(2000))) as index:
        labels, _ = index.find([f"id-{n}" for n in range(2000)], [0] * 2000)
        assert labels.to_pylist() == list(range(2000))


def test_index_passes_a_file_that_was_removed_meanwhile(tmp_path):
    with LabelIndex([tmp_path / "gone.jsonl"]) as index:
        assert index.find(["a"], [0])[0].to_pylist() == [None]
