"""Bodies of gRPC requests as files, for load generators that know no gRPC."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from fastserve._proto import open_inference_grpc_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# One row of each model's input.
SHAPES = {"mlp": (30,), "gbt": (30,), "conv": (3, 112, 112), "gap": (3, 224, 224)}


def values(shape: tuple[int, ...], seed: int = 1) -> NDArray[np.float32]:
    """Returns what every request of this shape brings."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def message(model: str, shape: tuple[int, ...], seed: int = 1) -> bytes:
    """Returns a serialised ModelInferRequest with one FP32 input named `input`, seeded values."""
    request = pb.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="input", datatype="FP32")
    tensor.shape.extend(shape)
    request.raw_input_contents.append(values(shape, seed).tobytes())
    return request.SerializeToString()


def write(path: Path, model: str, shape: tuple[int, ...]) -> Path:
    """Writes it with gRPC's five-byte prefix in front and returns the path."""
    body = message(model, shape)
    path.write_bytes(struct.pack(">BI", 0, len(body)) + body)
    return path
