"""Captured requests for tests, and a capture over a folder that is read back with pyarrow alone."""

import struct

import numpy as np
import pyarrow.parquet as pq

from fastserve._core import core
from fastserve.config import CaptureSettings
from fastserve.model_config import CaptureConfig
from fastserve.observe.capture import Capture, CaptureVersion

NAMES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip


def strings(values):
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def tensor(name, values, shape=None):
    """Of an array, or of byte strings and their shape."""
    if isinstance(values, np.ndarray):
        return core.CapturedTensor(name, NAMES[values.dtype.name], values.shape, values.tobytes())
    return core.CapturedTensor(name, "BYTES", shape or (len(values),), strings(values))


def request(number=0, *, rows=2, model="digits", version=1, inputs=None, outputs=None, **fields):
    """x has 3 values a row, y one."""
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) + 100 * number
    given = {
        "model": model, "version": version, "id": f"id-{number}", "route": "stable",
        "time_ns": 1_700_000_000_000_000_000 + number * 1_000_000_000,
        "queue_ns": 1, "compute_ns": 2, "total_ns": 3, "rows": rows,
        "inputs": [tensor("x", x)] if inputs is None else inputs,
        "outputs": [tensor("y", x.sum(axis=1))] if outputs is None else outputs,
    }  # fmt: skip
    return core.CapturedRequest(**given | fields)


def rules(model="digits", version=1, tensors=("x", "y"), kept=(), **config):
    """`tensors` are those of the model, `kept` and `config` what [capture] of model.toml has."""
    config["tensors"] = kept
    return CaptureVersion(model, version, "sha256-of-all", tuple(tensors),
                          CaptureConfig(**{"share": 1.0} | config))  # fmt: skip


class Clock:
    """Seconds since 1970 that stand still."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


def open_capture(folder, *versions, queue_bytes=64 << 20, clock=None, **settings):
    """(queue, capture) with rules for `versions`."""
    queue = core.CaptureQueue(queue_bytes)
    chosen = CaptureSettings(**{"min_free_bytes": 0, "file_seconds": 86_400.0} | settings)
    capture = Capture.open(folder, chosen, queue, clock=clock or Clock())
    for version in versions or [rules()]:
        capture.register(version)
    return queue, capture


def files_of(folder):
    return sorted(folder.rglob("*.parquet"))


def rows_of(folder):
    """All rows of all files, in the order of the files' names."""
    return [row for path in files_of(folder) for row in pq.read_table(path).to_pylist()]


def assert_settled(stats):
    assert stats.pending == 0
    assert stats.offered == stats.captured + stats.dropped + stats.failed
