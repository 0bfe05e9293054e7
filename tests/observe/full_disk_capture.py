"""A capture on a disk that fills and empties again: `full_disk_capture.py FOLDER`.

Prints one JSON line: what was counted, and what the files have in the end.
"""

import io
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from captured import files_of, open_capture, request
from full_disk import fill_file_system

from fastserve.observe.logs import configure_logs


def run(folder):
    queue, capture = open_capture(folder / "capture", file_rows=20)
    numbers = iter(range(100_000))

    def send(count):
        for _ in range(count):
            queue.put(request(next(numbers)))
        capture.flush()
        return capture.stats()

    before = send(10)
    release = fill_file_system(folder)
    # What fits into a block that is there already may still be written.
    full = send(500)
    release()
    after = send(10)
    capture.close()
    stats = capture.stats()
    ids = [
        name for path in files_of(folder) for name in pq.ParquetFile(path).read()["_id"].to_pylist()
    ]
    return {
        "before": before.captured, "failed": full.failed,
        "after": after.captured - full.captured, "offered": stats.offered,
        "settled": stats.captured + stats.dropped + stats.failed, "pending": stats.pending,
        "captured": stats.captured, "in_files": len(set(ids)),
        "hidden": len([*folder.rglob(".*.partial")]),
    }  # fmt: skip


if __name__ == "__main__":
    configure_logs(io.StringIO())
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]))) + "\n")
