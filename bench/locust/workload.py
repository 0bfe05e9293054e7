"""The model that the users ask: matrix products, as many as its depth; and its requests."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from fastserve._proto import open_inference_grpc_pb2 as pb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FEATURES, WIDTH, ROWS = 30, 512, 32
DEPTH = 24


def model(depth: int = DEPTH, seed: int = 1) -> bytes:
    """y[rows, 1] = x[rows, 30] through `depth` layers of 512."""
    chance = np.random.default_rng(seed)
    sizes = [FEATURES, *[WIDTH] * depth, 1]
    nodes, weights, last = [], [], "x"
    for layer, (before, after) in enumerate(itertools.pairwise(sizes)):
        kernel = chance.normal(size=(before, after)).astype(np.float32) / np.sqrt(before)
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"w{layer}"))
        name = "y" if layer == depth else f"h{layer}"
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"{name}_sum"]))
        nodes.append(helper.make_node("Tanh", [f"{name}_sum"], [name]))
        last = name
    graph = helper.make_graph(
        nodes,
        "work",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        weights,
    )
    opset = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, ir_version=8, opset_imports=opset)
    serialised: bytes = made.SerializeToString()
    return serialised


def put(repository: Path, version: int, data: bytes) -> None:
    """Writes it as a version of the model `work`."""
    folder = repository / "work" / str(version)
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(data)


def rows(count: int, seed: int = 0) -> NDArray[np.float32]:
    """What a request brings, `[count, 30]`."""
    return np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)


def training_rows(path: Path, count: int) -> Path:
    """Writes rows that requests are like."""
    np.savez(path, x=rows(count))
    return path


def body(path: Path, scale: float = 1.0, seed: int = 1) -> Path:
    """Writes the bytes of a request; `scale` other than 1: not what a profile was made of."""
    values = rows(ROWS, seed)
    request = pb.ModelInferRequest(model_name="work")
    request.inputs.add(name="x", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append((values * np.float32(scale)).tobytes())
    path.write_bytes(request.SerializeToString())
    return path
