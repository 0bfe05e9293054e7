"""Bodies of gRPC requests as files, for load generators that know no gRPC."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from fastserve._proto import open_inference_grpc_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path


def message(model: str, shape: tuple[int, ...], seed: int = 1) -> bytes:
    """Returns a serialised ModelInferRequest with one FP32 input named `input`, seeded values."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    request = pb.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="input", datatype="FP32")
    tensor.shape.extend(shape)
    request.raw_input_contents.append(values.tobytes())
    return request.SerializeToString()


def write(path: Path, model: str, shape: tuple[int, ...]) -> Path:
    """Writes it with gRPC's five-byte prefix in front and returns the path."""
    body = message(model, shape)
    path.write_bytes(struct.pack(">BI", 0, len(body)) + body)
    return path
