"""Captured requests become Parquet files: every one of them is counted, and none is half there."""

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from captured import (
    Clock,
    assert_settled,
    files_of,
    open_capture,
    request,
    rows_of,
    rules,
    strings,
    tensor,
)

from fastserve._core import core
from fastserve.config import CaptureSettings
from fastserve.errors import InvalidConfig
from fastserve.observe.capture import Capture
from fastserve.observe.capture_folder import CaptureFolder
from fastserve.observe.capture_store import CaptureStore

KEY = b"a key of nobody at all"


@pytest.fixture
def begin(tmp_path):
    """Opens a capture in `tmp_path`; what a test leaves open is closed."""
    opened = []

    def start(*versions, **options):
        pair = open_capture(tmp_path / "capture", *versions, **options)
        opened.append(pair[1])
        return pair

    yield start
    for capture in opened:
        capture.close()


def captured(begin, *requests, versions=(), **options):
    """All rows of `requests`, after a capture that began and ended."""
    queue, capture = begin(*versions, **options)
    for one in requests:
        assert queue.put(one)
    capture.close()
    assert_settled(capture.stats())
    return capture


def test_row_of_a_request_is_a_row_of_the_file(begin, tmp_path):
    capture = captured(begin, request(0, rows=2), request(1, rows=1))
    first, second, third = rows_of(tmp_path)
    assert first["x"] == [0, 1, 2]
    assert second["x"] == [3, 4, 5]
    assert third["x"] == [100, 101, 102]
    assert [row["y"] for row in (first, second, third)] == [3, 12, 303]
    assert [(row["_id"], row["_row"]) for row in (first, second, third)] == [
        ("id-0", 0), ("id-0", 1), ("id-1", 0)
    ]  # fmt: skip
    assert third["_time"].timestamp() == 1_700_000_001
    assert (third["_version"], third["_route"]) == (1, "stable")
    assert (third["_queue_ns"], third["_compute_ns"], third["_total_ns"]) == (1, 2, 3)
    stats = capture.stats()
    assert (stats.offered, stats.captured, stats.rows, stats.files) == (2, 2, 3, 1)
    assert stats.bytes == stats.disk_bytes == files_of(tmp_path)[0].stat().st_size


def test_file_says_what_it_is_of(begin, tmp_path):
    captured(begin, request())
    (path,) = files_of(tmp_path)
    assert path.parent == tmp_path / "capture" / "digits" / "1"
    schema = pq.read_schema(path)
    assert {key.decode(): value.decode() for key, value in schema.metadata.items()}.items() >= {
        "fastserve.capture.format": "1", "fastserve.model": "digits", "fastserve.version": "1",
        "fastserve.digest": "sha256-of-all",
    }.items()  # fmt: skip
    assert schema.field("x").type == pa.list_(pa.float32(), 3)
    assert schema.field("y").type == pa.float32()
    assert schema.field("x").metadata == {
        b"tensor": b"x", b"direction": b"input", b"datatype": b"FP32", b"shape": b"[3]"
    }  # fmt: skip
    assert schema.field("y").metadata[b"direction"] == b"output"


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("bool", [True, False]), ("uint8", [0, 255]), ("uint16", [0, 65_535]),
        ("uint32", [0, 2**32 - 1]), ("uint64", [0, 2**64 - 1]), ("int8", [-128, 127]),
        ("int16", [-2, 2]), ("int32", [-2, 2]), ("int64", [-(2**63), 2**63 - 1]),
        ("float16", [0.5, -2.0]), ("float32", [0.25, float("inf")]), ("float64", [0.1, -1e300]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [1, 2])
def test_datatype_keeps_its_values(begin, tmp_path, dtype, values, width):
    x = (
        np.array([values] * width, dtype).reshape(2, width)
        if width > 1
        else np.array(values, dtype)
    )
    captured(begin, request(inputs=[tensor("x", x)]))
    assert [row["x"] for row in rows_of(tmp_path)] == x.tolist()


def test_bfloat16_becomes_a_float_of_the_same_value(begin, tmp_path):
    x = core.CapturedTensor("x", "BF16", (2,), np.array([0x3FC0, 0xC000], "<u2").tobytes())
    captured(begin, request(inputs=[x]))
    assert [row["x"] for row in rows_of(tmp_path)] == [1.5, -2.0]


def test_strings_are_text_while_they_are_and_bytes_from_then_on(begin, tmp_path):
    words, odd = ["n\u00ef".encode(), b""], [b"\xff\x00", b"plain"]
    captured(
        begin,
        request(0, inputs=[tensor("x", words)]),
        request(1, inputs=[tensor("x", odd)]),
        request(2, inputs=[tensor("x", words)]),
    )
    assert [pq.read_schema(path).field("x").type for path in files_of(tmp_path)] == [
        pa.string(), pa.binary()
    ]  # fmt: skip
    assert [row["x"] for row in rows_of(tmp_path)] == ["n\u00ef", "", *odd, *words]


def test_tensor_whose_rows_differ_becomes_a_list_with_shapes(begin, tmp_path):
    def with_shape(number, *shape):
        x = np.arange(2 * np.prod(shape), dtype=np.int32).reshape(2, *shape)
        return request(number, inputs=[tensor("x", x)])

    captured(begin, with_shape(0, 2, 2), with_shape(1, 1, 3), with_shape(2, 2, 2))
    assert len(files_of(tmp_path)) == 2
    rows = rows_of(tmp_path)
    assert [row["x"] for row in rows] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2], [3, 4, 5], [0, 1, 2, 3], [4, 5, 6, 7]
    ]  # fmt: skip
    assert [row.get("x.shape") for row in rows[1:4]] == [None, [1, 3], [1, 3]]


def test_list_of_one_axis_needs_no_shapes(begin, tmp_path):
    wide = [tensor("x", np.zeros((2, n), np.int32)) for n in (3, 0, 5)]
    captured(begin, *(request(n, inputs=[x]) for n, x in enumerate(wide)))
    assert [len(row["x"]) for row in rows_of(tmp_path)] == [3, 3, 0, 0, 5, 5]
    assert all("x.shape" not in row for row in rows_of(tmp_path))


def test_tensor_that_is_left_out_is_null(begin, tmp_path):
    both = [tensor("x", np.ones((2, 3), np.float32)), tensor("z", [b"a", b"b"])]
    captured(
        begin, request(0, inputs=both), request(1, inputs=both[1:]), request(2, inputs=both[:1]),
        versions=[rules(tensors=("x", "y", "z"))],
    )  # fmt: skip
    assert len(files_of(tmp_path)) == 1
    rows = rows_of(tmp_path)
    assert [row["x"] is None for row in rows] == [False, False, True, True, False, False]
    assert [row["z"] for row in rows] == ["a", "b", "a", "b", None, None]


def test_request_without_rows_is_one_row(begin, tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    captured(begin, request(rows=0, inputs=[tensor("x", x)], outputs=[tensor("y", x.sum()[None])]))
    (row,) = rows_of(tmp_path)
    assert row["x"] == [0, 1, 2, 3, 4, 5]
    assert row["y"] == 15
    (path,) = files_of(tmp_path)
    assert json.loads(pq.read_schema(path).field("x").metadata[b"shape"]) == [2, 3]


def test_column_of_a_tensor_with_a_taken_name_says_which_it_is(begin, tmp_path):
    x = np.array([1, 2], np.float32)
    captured(
        begin,
        request(inputs=[tensor("x", x), tensor("_id", x + 10)], outputs=[tensor("x", x + 20)]),
        versions=[rules(tensors=("x", "_id"))],
    )
    row = rows_of(tmp_path)[0]
    assert (row["x"], row["input:_id"], row["output:x"], row["_id"]) == (1, 11, 21, "id-0")


def test_request_without_an_id_has_none(begin, tmp_path):
    captured(begin, request(id="", route=""))
    assert [(row["_id"], row["_route"]) for row in rows_of(tmp_path)] == [(None, None)] * 2


# Redaction.


def test_dropped_tensors_and_elements_are_nowhere_in_the_file(begin, tmp_path):
    secret = tensor("name", [b"anna-secret", b"otto-secret"])
    x = np.array([[1.5, 777.25, 2.5]] * 2, np.float32)
    captured(
        begin, request(inputs=[tensor("x", x), secret]),
        versions=[rules(tensors=("x", "y", "name"), drop=("name", "x[1]"))],
    )  # fmt: skip
    row = rows_of(tmp_path)[0]
    assert "name" not in row
    assert row["x"] == [1.5, None, 2.5]
    (path,) = files_of(tmp_path)
    assert pq.read_schema(path).field("x").metadata[b"dropped"] == b"[1]"
    file = pq.ParquetFile(path)
    statistics = [
        file.metadata.row_group(0).column(n).statistics for n in range(file.metadata.num_columns)
    ]
    assert "777" not in str([s and (s.min, s.max) for s in statistics])
    assert b"secret" not in path.read_bytes()
    assert np.float32(777.25).tobytes() not in path.read_bytes()


def test_only_the_tensors_that_are_named_are_written(begin, tmp_path):
    captured(begin, request(), versions=[rules(kept=("y",))])
    assert "x" not in rows_of(tmp_path)[0]
    assert rows_of(tmp_path)[0]["y"] == 3


def test_hashed_values_are_equal_where_they_were_and_differ_by_key(tmp_path):
    def hashes(folder, key):
        (tmp_path / "key").write_bytes(key)
        names = tensor("name", [b"anna", b"otto"])
        numbers = tensor("x", np.array([[1, 2, 1]] * 2, np.int64))
        queue, capture = open_capture(
            tmp_path / folder, rules(tensors=("x", "y", "name"), hash=("name", "x")),
            hash_key_file=tmp_path / "key",
        )  # fmt: skip
        queue.put(request(0, inputs=[names, numbers]))
        queue.put(request(1, inputs=[names, numbers]))
        capture.close()
        assert b"anna" not in files_of(tmp_path / folder)[0].read_bytes()
        return [(row["name"], row["x"]) for row in rows_of(tmp_path / folder)]

    one, other = hashes("one", KEY), hashes("other", b"another key of nobody")
    assert one[:2] == one[2:]
    assert one[0][0] != one[1][0]
    assert len(one[0][0]) == 32
    assert one[0][1][0] == one[0][1][2] != one[0][1][1]
    assert {name for name, _ in one} & {name for name, _ in other} == set()


@pytest.mark.parametrize("config", [{"hash": ("x",)}, {"drop": ("z",)}, {"kept": ("z",)}])
def test_nothing_is_written_where_the_rules_make_no_sense(begin, tmp_path, config):
    capture = captured(begin, request(), versions=[rules(**config)])
    assert capture.stats().failed == 1
    assert files_of(tmp_path) == []


def test_nothing_is_written_of_a_version_without_rules(begin, tmp_path):
    capture = captured(begin, request(version=2), request(model="spam"))
    assert capture.stats().failed == 2
    assert files_of(tmp_path) == []


def test_new_rules_hold_for_every_request_that_comes_after_them(begin, tmp_path):
    queue, capture = begin()
    queue.put(request(0))
    capture.flush()
    capture.register(rules(drop=("x",)))
    queue.put(request(1))
    capture.close()
    assert ["x" in row for row in rows_of(tmp_path)] == [True, True, False, False]


def test_short_key_is_refused(tmp_path):
    (tmp_path / "key").write_text("short")
    with pytest.raises(InvalidConfig, match="expected 16 or more"):
        open_capture(tmp_path / "capture", hash_key_file=tmp_path / "key")


# What does not fit.


@pytest.mark.parametrize(
    "x",
    [
        core.CapturedTensor("x", "FP32", (2, 3), b"too short"),
        core.CapturedTensor("x", "FP32", (3, 2), bytes(24)),
        core.CapturedTensor("x", "BYTES", (2,), strings([b"one"])),
        core.CapturedTensor("x", "BYTES", (1,), b"\xff\xff\xff\xff"),
        core.CapturedTensor("x", "BYTES", (1,), b"\x01\x00"),
        core.CapturedTensor("x", "INT64", (2, 3), bytes(48)),
        core.CapturedTensor("x", "FP32", (), bytes(4)),
    ],
)
def test_request_that_does_not_fit_fails_alone(tmp_path, x):
    """Without the queue, which refuses most of them by itself."""
    folder = CaptureFolder(tmp_path / "capture", max_bytes=1 << 30, min_free_bytes=0)
    store = CaptureStore(
        folder, CaptureSettings(), key=None, server_version="1", clock=Clock()
    )  # fmt: skip
    store.register(rules())
    for number, inputs in enumerate([None, [x], None]):
        store.add(request(number, inputs=inputs))
    store.finish_all()
    folder.close()
    assert (store.counts.captured, store.counts.failed) == (2, 1)
    assert [row["_id"] for row in rows_of(tmp_path)][::2] == ["id-0", "id-2"]


# Rotation and the disk.


def test_file_is_finished_by_rows(begin, tmp_path):
    captured(begin, *(request(n) for n in range(10)), file_rows=6)
    assert [pq.read_metadata(path).num_rows for path in files_of(tmp_path)] == [6, 6, 6, 2]


def test_file_is_finished_by_bytes(begin, tmp_path):
    noise = np.random.default_rng(1).random((2, 500))
    many = [request(n, inputs=[tensor("x", noise + n)]) for n in range(20)]
    captured(begin, *many, file_bytes=20_000)
    sizes = [path.stat().st_size for path in files_of(tmp_path)]
    assert len(sizes) == 7
    # The bound is looked at before compression, and with one request more.
    assert max(sizes) < 20_000 + 2 * noise.nbytes


def test_file_is_finished_by_age_and_by_a_clock_that_was_set_back(begin, tmp_path):
    clock = Clock()
    queue, capture = begin(clock=clock, file_seconds=60.0)
    for number, seconds in enumerate([0, 59, 60, 61, -3600]):
        clock.now = 1_700_000_000.0 + seconds
        queue.put(request(number))
        pass_of(capture)
        assert len(files_of(tmp_path)) == [0, 0, 1, 1, 2][number]
    capture.close()
    assert [len(pq.read_table(path)) for path in files_of(tmp_path)] == [6, 4]


def pass_of(capture):
    """What was put before was taken, and the files' ages were looked at."""
    for _ in range(2):
        done = threading.Event()
        with capture._changing:
            capture._changes.append(done.set)
        capture._source.wake()
        assert done.wait(30)


def test_each_version_has_files_of_its_own(begin, tmp_path):
    captured(
        begin, request(0), request(1, version=2), request(2, model="a/../b"),
        versions=[rules(), rules(version=2), rules(model="a/../b")],
    )  # fmt: skip
    places = [str(path.parent.relative_to(tmp_path / "capture")) for path in files_of(tmp_path)]
    assert sorted(places) == ["a%2F..%2Fb/1", "digits/1", "digits/2"]


def test_forgotten_version_is_finished_at_once(begin, tmp_path):
    queue, capture = begin()
    queue.put(request(0))
    capture.forget("digits", 1)
    pass_of(capture)
    assert len(files_of(tmp_path)) == 1
    queue.put(request(1))
    capture.close()
    assert (capture.stats().captured, capture.stats().failed) == (1, 1)


def test_version_that_comes_back_before_the_writer_forgot_it_is_captured(begin):
    queue, capture = begin()
    is_busy, may_go_on = threading.Event(), threading.Event()
    with capture._changing:
        # As a disk does that is slow.
        capture._changes.append(lambda: is_busy.set() or may_go_on.wait(30))
    capture._source.wake()
    assert is_busy.wait(30)
    capture.forget("digits", 1)
    capture.register(rules())
    may_go_on.set()
    pass_of(capture)
    queue.put(request(0))
    capture.close()
    assert (capture.stats().captured, capture.stats().failed) == (1, 0)


def test_oldest_files_are_removed_to_stay_within_the_bound(begin, tmp_path):
    clock = Clock()
    queue, capture = begin(rules(), rules(version=2), clock=clock, max_disk_bytes=20_000)
    for number in range(30):
        clock.now += 1
        queue.put(request(number, version=1 + number % 2))
        capture.flush()
        sizes = [path.stat().st_size for path in files_of(tmp_path)]
        assert sum(sizes) == capture.stats().disk_bytes <= 20_000
    capture.close()
    stats = capture.stats()
    kept = [row["_id"] for row in rows_of(tmp_path)][::2]
    assert sorted(kept, key=lambda name: int(name[3:])) == [
        f"id-{n}" for n in range(30 - len(kept), 30)
    ]
    assert stats.removed_files == 30 - len(kept) > 0
    # Removing is not failing: they were captured.
    assert stats.captured == 30


def test_bound_counts_what_an_earlier_process_left(begin, tmp_path):
    captured(begin, *(request(n) for n in range(4)), file_rows=2)
    size = sum(path.stat().st_size for path in files_of(tmp_path))
    queue, capture = begin(max_disk_bytes=size // 2)
    assert capture.stats().removed_files == 2
    assert len(files_of(tmp_path)) == 2
    assert queue.put(request(9))


def test_nothing_is_written_while_the_disk_is_low_and_it_goes_on_by_itself(begin, tmp_path):
    queue, capture = begin(min_free_bytes=1 << 62)
    queue.put(request(0))
    capture.flush()
    assert capture.stats().failed == 1
    assert files_of(tmp_path) == []
    capture._folder._min_free_bytes = 0
    queue.put(request(1))
    capture.close()
    assert capture.stats().captured == 1
    assert_settled(capture.stats())


def test_files_that_cannot_be_removed_fail_what_comes_after_and_nothing_before(begin, tmp_path):
    queue, capture = begin(max_disk_bytes=1)
    (stuck := tmp_path / "capture" / "digits" / "1" / "0000000000000000001.parquet").mkdir(
        parents=True
    )
    capture._folder.add(stuck, 2)
    queue.put(request(0))
    capture.flush()
    assert capture.stats().failed == 1
    stuck.rmdir()
    queue.put(request(1))
    capture.close()
    assert capture.stats().captured == 1
    assert_settled(capture.stats())


def test_folder_belongs_to_one_process(begin, tmp_path):
    begin()
    with pytest.raises(InvalidConfig, match="in use"):
        open_capture(tmp_path / "capture")


# The counters.


def test_law_holds_while_many_put_and_the_queue_overflows(tmp_path):
    queue, capture = open_capture(tmp_path / "capture", queue_bytes=20_000, file_rows=500)
    put = [0, 0, 0]
    laws = []

    def send(place):
        for number in range(1500):
            # One in ten does not fit its rules.
            put[place] += queue.put(request(number, version=2 if number % 10 == 0 else 1))

    def watch():
        while any(thread.is_alive() for thread in threads):
            stats = capture.stats()
            settled = stats.captured + stats.dropped + stats.failed
            laws.append(stats.offered == settled + stats.pending and stats.pending >= 0)

    threads = [threading.Thread(target=send, args=(place,)) for place in range(3)]
    watcher = threading.Thread(target=watch)
    for thread in threads:
        thread.start()
    watcher.start()
    for thread in [*threads, watcher]:
        thread.join()
    capture.close()
    stats = capture.stats()
    assert_settled(stats)
    assert all(laws)
    assert stats.offered == 4500
    assert stats.offered - stats.dropped == sum(put)
    assert stats.dropped > 0
    assert stats.failed > 0
    assert len(rows_of(tmp_path)) == 2 * stats.captured == stats.rows


def test_what_comes_after_the_end_is_dropped(begin):
    queue, capture = begin()
    capture.close()
    assert not queue.put(request())
    assert capture.stats().dropped == 1
    assert_settled(capture.stats())


def test_metrics_are_those_of_the_page(begin):
    capture = captured(begin, request(0), request(1, version=9))
    page = (Path(__file__).parents[2] / "docs" / "capture.md").read_text()
    families = {family.name: family for family in capture.families()}
    for name in families:
        assert name in page
    requests = families["fastserve_capture_requests_total"].samples
    assert {labels["outcome"]: value for labels, value in requests} == {
        "offered": 2,
        "captured": 1,
        "dropped": 0,
        "failed": 1,
    }
    assert families["fastserve_capture_bytes_total"].samples[0][1] > 0


def test_capture_of_default_settings_opens(tmp_path):
    Capture.open(tmp_path / "capture", CaptureSettings(), core.CaptureQueue(1 << 20)).close()
