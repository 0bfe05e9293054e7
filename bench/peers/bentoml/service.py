"""One ONNX file as a BentoML service with adaptive batching; rows come and go as JSON."""

import os

import bentoml
import numpy as np
from onnx_model import MAX_ROWS, OnnxModel

# BentoML drops requests that it expects to take longer; this only bounds the batch's wait.
MAX_LATENCY_MS = 10_000


@bentoml.service(
    workers=1,
    traffic={"timeout": 60, "max_concurrency": 10_000},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Onnx:
    """Reads the file's path from PEER_MODEL: a service has no arguments of its own."""

    def __init__(self) -> None:
        self.model = OnnxModel(os.environ["PEER_MODEL"])

    @bentoml.api(batchable=True, max_batch_size=MAX_ROWS, max_latency_ms=MAX_LATENCY_MS)
    def predict(self, input: np.ndarray) -> np.ndarray:  # noqa: A002  the name in the JSON
        return self.model.flat(np.asarray(input, np.float32))
