"""Bodies of gRPC requests as files, for load generators that know no gRPC."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from fastserve._proto import open_inference_grpc_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DATATYPES = {"float32": "FP32", "int64": "INT64"}
# One row of each model's input.
SHAPES = {"mlp": (30,), "gbt": (30,), "conv": (3, 112, 112), "gap": (3, 224, 224), "text": (32,)}
# Tokens of text's requests where these are mixed: most are short, some are long.
LENGTHS = (8, 8, 16, 16, 16, 32, 32, 64, 128)
TOKENS = 1000  # at most, in the models' vocabulary


def rows(model: str) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of one row that requests to this model bring in turn."""
    return tuple((length,) for length in LENGTHS) if model == "text" else (SHAPES[model],)


def values(model: str, shape: tuple[int, ...], seed: int = 1) -> NDArray[Any]:
    """Returns what every request of this shape brings: int64 tokens for `text`, else float32."""
    chance = np.random.default_rng(seed)
    if model == "text":
        return chance.integers(TOKENS, size=shape)
    return chance.normal(size=shape).astype(np.float32)


def message(model: str, shape: tuple[int, ...], seed: int = 1) -> bytes:
    """Returns a serialised ModelInferRequest with one input named `input`, seeded values."""
    request = pb.ModelInferRequest(model_name=model)
    brought = values(model, shape, seed)
    tensor = request.inputs.add(name="input", datatype=DATATYPES[brought.dtype.name])
    tensor.shape.extend(shape)
    request.raw_input_contents.append(brought.tobytes())
    return request.SerializeToString()


def write(path: Path, model: str, shape: tuple[int, ...]) -> Path:
    """Writes it with gRPC's five-byte prefix in front and returns the path."""
    body = message(model, shape)
    path.write_bytes(struct.pack(">BI", 0, len(body)) + body)
    return path
