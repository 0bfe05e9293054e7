"""Real ONNX files for the tests of models."""

import threading
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastserve.models.loader import find_runtime_library

DATA = Path(__file__).resolve().parents[2] / "csrc" / "tests" / "data"


def one_node(op, inputs, outputs, constants=(), **attributes):
    """A model of one node; inputs and outputs are (name, element type, shape)."""
    graph = helper.make_graph(
        [helper.make_node(op, [name for name, *_ in inputs], [outputs[0][0]], **attributes)],
        "g",
        [
            helper.make_tensor_value_info(*one)
            for one in inputs
            if one[0] not in {constant.name for constant in constants}
        ],
        [helper.make_tensor_value_info(*one) for one in outputs],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString()


@pytest.fixture(scope="session")
def until():
    """A function that waits for a condition about another process, which sends no event."""

    def wait(condition, seconds=100):
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not (result := condition()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            pause.wait(0.005)
        return result

    return wait


@pytest.fixture(scope="session")
def library_path():
    return find_runtime_library()


@pytest.fixture(scope="session")
def mlp():
    """The bytes of a small model whose rows are independent."""
    return (DATA / "mlp.onnx").read_bytes()


@pytest.fixture(scope="session")
def external_model():
    """The same model with its matrices in another file: {name: bytes}."""
    return {
        "model.onnx": (DATA / "external.onnx").read_bytes(),
        "external.bin": (DATA / "external.bin").read_bytes(),
    }


@pytest.fixture(scope="session")
def large_model():
    """8 MiB of weights: rows of 1024 become rows of 2048."""
    weights = np.zeros((1024, 2048), np.float32)
    return one_node(
        "MatMul",
        [("x", TensorProto.FLOAT, ["N", 1024]), ("w", TensorProto.FLOAT, weights.shape)],
        [("y", TensorProto.FLOAT, ["N", 2048])],
        [numpy_helper.from_array(weights, "w")],
    )


@pytest.fixture(scope="session")
def endless_model():
    """Its run never ends: a Loop of 2**62 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sin", ["x_in"], ["x_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_in", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", TensorProto.FLOAT, [1]),
        ],
    )
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 62])
    go = helper.make_tensor("go", TensorProto.BOOL, [], [True])
    return one_node(
        "Loop",
        [
            ("rounds", TensorProto.INT64, []),
            ("go", TensorProto.BOOL, []),
            ("x", TensorProto.FLOAT, [1]),
        ],
        [("y", TensorProto.FLOAT, [1])],
        [rounds, go],
        body=body,
    )


@pytest.fixture(scope="session")
def greedy_model():
    """Wants 64 GiB: a ConstantOfShape of 2**34 floats."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [1 << 34])
    return one_node(
        "ConstantOfShape",
        [("shape", TensorProto.INT64, [1])],
        [("y", TensorProto.FLOAT, ["N"])],
        [shape],
        value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]),
    )


@pytest.fixture(scope="session")
def model_of():
    """A function number -> a model that answers that number, to tell versions apart."""

    def make(number):
        value = helper.make_tensor("value", TensorProto.FLOAT, [1], [float(number)])
        made = onnx.load_from_string(
            one_node(
                "Add",
                [("x", TensorProto.FLOAT, ["N", 1]), ("value", TensorProto.FLOAT, [1])],
                [("y", TensorProto.FLOAT, ["N", 1])],
                [value],
            )
        )
        made.model_version = number
        return made.SerializeToString()

    return make
