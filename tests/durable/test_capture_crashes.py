"""A capture that is killed, or whose disk fails: files are whole, and every start works."""

import errno
import os
import random
import signal
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.append(str(Path(__file__).parents[1] / "observe"))  # test folders are not packages

from captured import files_of, open_capture, request

from fastserve.observe.capture_export import Export, ExportQuery

# A soak meets every call; otherwise every third one, beginning with another at each run.
IS_SOAK = os.environ.get("FASTSERVE_SOAK", "0") not in {"", "0"}
KILLS = 100 if IS_SOAK else 12
SEED = int(os.environ.get("FASTSERVE_TEST_SEED", random.randrange(1 << 32)))
STRIDE = 1 if IS_SOAK else 3
EXIT, TEAR = -1, -2
MOST_CALLS = 200


def calls():
    sys.stdout.write(f"again with FASTSERVE_TEST_SEED={SEED}\n")
    return range(1 + SEED % STRIDE, MOST_CALLS, STRIDE)


def words(outcome, key):
    return [word for word in outcome["said"] if key in word]


def is_past_the_last(outcome, call):
    """The capture came to its end without making so many calls."""
    return any(word["calls"] < call for word in words(outcome, "calls"))


def captured_in(folder):
    """Requests in the files, which all can be read, as the next server finds them.

    It starts, says what was cut off, captures, and exports.
    """
    hidden = list(folder.rglob(".*.partial")) if folder.exists() else []
    queue, capture = open_capture(folder)
    assert capture.stats().lost_files == len(hidden)
    assert list(folder.rglob(".*")) == []
    found = sum(pq.ParquetFile(path).metadata.num_rows for path in files_of(folder)) // 2
    queue.put(request(0, id="afterwards"))
    capture.close()
    assert capture.stats().captured == 1
    export = Export(folder, ExportQuery("digits", with_labels=True))
    assert sum(map(len, export.chunks())) > 0
    assert export.summary.skipped == []
    assert export.summary.rows == 2 * (found + 1)
    return found


def acknowledged(outcome):
    return max((word["captured"] for word in words(outcome, "captured")), default=0)


def test_capture_keeps_finished_files_when_killed_at_random_times(capture_nursery, tmp_path):
    sys.stdout.write(f"again with FASTSERVE_TEST_SEED={SEED}\n")
    chance = random.Random(SEED)
    told = 0
    for before in range(KILLS):
        # One in four while it still opens the folder; else the first word is that it has, and each
        # further one tells of a file, so that a slow disk makes the test slow and not empty.
        kill_after_words = [0, 1, 2, 4][before % 4]
        outcome = capture_nursery.run(
            "capture", tmp_path / "capture", appends=100_000,
            # Arrow's first file takes most of the shorter times.
            kill_seconds=chance.choice([chance.uniform(0, 0.1), chance.uniform(0.3, 0.7)]),
            together=chance.choice([1, 3, 20]), kill_after_words=kill_after_words,
        )  # fmt: skip
        assert outcome["status"] == signal.SIGKILL, outcome
        assert len(words(outcome, "captured")) >= kill_after_words - 1
        told += acknowledged(outcome)
        found = captured_in(tmp_path / "capture")
        # A file may be finished and its count not yet told.
        assert told + before <= found
    assert told > 0


@pytest.mark.parametrize("action", [EXIT, TEAR], ids=["before", "within"])
def test_capture_keeps_finished_files_when_killed_at_each_call(
    capture_nursery, memory_path, action
):
    for call in calls():
        folder = memory_path / str(call)
        outcome = capture_nursery.run(
            "capture", folder, action=action, first=call, last=call, appends=2
        )
        told = acknowledged(outcome)
        assert told <= captured_in(folder) <= told + 1
        if is_past_the_last(outcome, call):
            assert told == 2
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")


@pytest.mark.parametrize(
    ("code", "span"), [(errno.EIO, 1), (errno.EIO, 3), (errno.ENOSPC, 1)], ids=str
)
def test_capture_counts_what_a_failing_disk_took_and_goes_on(
    capture_nursery, memory_path, code, span
):
    is_failed = False
    for call in calls():
        folder = memory_path / str(call)
        outcome = capture_nursery.run(
            "capture", folder, action=code, first=call, last=call + span - 1, appends=3
        )
        if words(outcome, "error"):
            continue  # refused at the start
        (stats,) = words(outcome, "offered")
        assert stats["pending"] == stats["dropped"] == 0
        assert stats["offered"] == 3 == stats["captured"] + stats["failed"]
        assert stats["labels_offered"] == 3 == stats["labels_stored"] + stats["labels_failed"]
        rows = sum(pq.ParquetFile(path).metadata.num_rows for path in files_of(folder))
        assert rows == stats["rows"] == 2 * stats["captured"]
        # The fault is over: what came after it was captured.
        assert stats["captured"] >= 3 - span
        is_failed |= stats["failed"] > 0
        if is_past_the_last(outcome, call):
            assert (stats["failed"], stats["labels_failed"]) == (0, 0)
            assert is_failed
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")
