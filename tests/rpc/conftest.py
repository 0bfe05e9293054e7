"""A repository of small models, a server on each transport over it, and calls as bare bytes."""

import contextlib
import sys
from pathlib import Path
from typing import NamedTuple

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ServerProcess

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

TRANSPORTS = ("native", "grpcio")
SERVICE = "/inference.GRPCInferenceService"


def _model(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
        [numpy_helper.from_array(array, name) for name, array in initializers],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests"
    )
    helper.set_model_props(model, {"task": "testing"})
    return model.SerializeToString()


def affine(scale=2.0):
    """y = scale * x + 1, rows apart."""
    return _model(
        [helper.make_node("Mul", ["x", "s"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])],
        [("x", TensorProto.FLOAT, ["N", 3])],
        [("y", TensorProto.FLOAT, ["N", 3])],
        [("s", np.array([scale], np.float32)), ("b", np.array([1], np.float32))],
    )


MODELS = {
    "affine/1": affine(),
    "affine/3": affine(3.0),
    # Rows mix: each is divided by the sum of all.
    "mixing/1": _model(
        [
            helper.make_node("ReduceSum", ["x", "axis"], ["t"], keepdims=1),
            helper.make_node("Div", ["x", "t"], ["y"]),
        ],
        [("x", TensorProto.FLOAT, ["N", 3])],
        [("y", TensorProto.FLOAT, ["N", 3])],
        [("axis", np.array([0], np.int64))],
    ),
    "fixed/1": _model(
        [helper.make_node("Neg", ["x"], ["y"])],
        [("x", TensorProto.INT64, [1, 2])],
        [("y", TensorProto.INT64, [1, 2])],
    ),
    "text/1": _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [("x", TensorProto.STRING, ["N"])],
        [("y", TensorProto.STRING, ["N"])],
    ),
    "two/1": _model(
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Sub", ["a", "b"], ["difference"]),
        ],
        [("a", TensorProto.INT32, ["N", 2]), ("b", TensorProto.INT32, ["N", 2])],
        [("sum", TensorProto.INT32, ["N", 2]), ("difference", TensorProto.INT32, ["N", 2])],
    ),
    "broken/1": b"this is no model",
    "hollow/1": None,
}
READY = ("affine", "fixed", "mixing", "text", "two")


def write_repository(root, models):
    for place, content in models.items():
        folder = root / place
        folder.mkdir(parents=True)
        # What is measured differs from one start to the next, and so would two servers.
        (folder.parent / "model.toml").write_text("[batching]\nmax_rows = 64\n")
        if content is not None:
            (folder / "model.onnx").write_bytes(content)
    return root


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    return write_repository(tmp_path_factory.mktemp("repository"), MODELS)


@pytest.fixture(scope="session")
def servers(repository):
    """transport -> running server; for tests that change nothing but counters."""
    started = {}
    try:
        for transport in TRANSPORTS:
            started[transport] = ServerProcess(repository, "--transport", transport)
        yield started
    finally:
        for server in started.values():
            server.stop()


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture
def server(servers, transport):
    return servers[transport]


class Outcome(NamedTuple):
    """All that a caller sees of a call."""

    code: str
    message: str
    answers: list
    initial: list
    trailers: list


# What an HTTP/2 library says about itself.
_OWN = {"user-agent", "content-type", "grpc-accept-encoding", "grpc-encoding", "accept-encoding"}


def call(address, path, *messages, metadata=(), timeout=30):
    """One call of any kind, messages as bytes."""
    with grpc.insecure_channel(address) as channel:
        running = channel.stream_stream(path)(iter(messages), metadata=metadata, timeout=timeout)
        answers = []
        with contextlib.suppress(grpc.RpcError):
            answers.extend(running)

        def visible(pairs):
            return sorted((key, value) for key, value in pairs or () if key not in _OWN)

        return Outcome(
            running.code().name,
            running.details(),
            answers,
            visible(running.initial_metadata()),
            visible(running.trailing_metadata()),
        )


@pytest.fixture(scope="session")
def make_call():
    return call


@pytest.fixture(scope="session")
def make_repository():
    return write_repository


@pytest.fixture(scope="session")
def models():
    return MODELS
