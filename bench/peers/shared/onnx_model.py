"""The model as every peer runs it: ONNX Runtime with fastserve's own session options."""

from __future__ import annotations

import os
import socket
from typing import Any

import numpy as np
import onnxruntime as ort

# How many rows a batch may take, and how long it may wait for them (docs/peers.md).
MAX_ROWS = int(os.environ.get("PEER_MAX_ROWS", "64"))
MAX_DELAY_SECONDS = float(os.environ.get("PEER_MAX_DELAY_SECONDS", "0.002"))


class OnnxModel:
    """One ONNX file with one input; `run` takes `[rows, ...] float32` and returns all outputs."""

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, rows: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """Returns one array per output, in the file's order."""
        outputs: list[Any] = self.session.run(self.outputs, {self.input.name: rows})
        return outputs

    def flat(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Returns all outputs of a row beside each other: `[rows, values] float32`.

        For servers whose answer is one array.
        """
        outputs = [array.reshape(len(rows), -1) for array in self.run(rows)]
        return np.concatenate(outputs, axis=1, dtype=np.float32)


def free_port() -> int:
    """Returns a port of loopback that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
