"""Sketches of random rows, and a version whose rows the test sends itself."""

from typing import NamedTuple

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from fastserve._core import core
from fastserve.cli import main
from fastserve.drift.signature import schema_of, signature_of
from fastserve.model_config import ModelConfig

FEATURES = 30
INPUTS = (core.TensorSpec("x", "FP32", (-1, FEATURES), ("N", "")),)
OUTPUTS = (core.TensorSpec("y", "FP32", (-1, 1), ("N", "")),)
SIGNATURE = signature_of(INPUTS, OUTPUTS, has_rows=True)


def _model(nodes, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString()


def mean_model():
    """y is the mean of the row."""
    weights = np.full((FEATURES, 1), 1 / FEATURES, np.float32)
    return _model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weights})


def refusing_model():
    """Loads, and refuses to run: no row can be looked up at 99."""
    return _model(
        [
            helper.make_node("Gather", ["x", "far"], ["column"], axis=1),
            helper.make_node("Identity", ["column"], ["y"]),
        ],
        {"far": np.array([99], np.int64)},
    )


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Stats(NamedTuple):
    rows_seen: int
    rows_sketched: int
    rows_skipped: int
    violations: list


class Rows:
    """Stands where the engine does: what `send` gets is what the next window has seen."""

    def __init__(self, schema):
        self.schema = schema
        self.sketch = None
        self.seen = 0
        self.violations = []

    def take_window(self):
        taken, self.sketch = self.sketch, None
        return taken

    def watch_stats(self):
        return Stats(self.seen, self.seen, 0, self.violations)

    def send(self, x, y=None):
        x = np.asarray(x, np.float32)
        y = x[:, :1] if y is None else np.asarray(y, np.float32)
        self.sketch = self.sketch or core.TableSketch(self.schema)
        self.sketch.add(0, len(x), x.tobytes())
        self.sketch.add(1, len(y), y.tobytes())
        self.seen += len(x)


class Batching(NamedTuple):
    has_rows_axis: bool = True


class FedVersion:
    """A version of `SIGNATURE`, or of the tensors that are given, fed by the test."""

    def __init__(self, number=1, *, config=None, profile=None, digest="d", inputs=INPUTS):
        self.model = "m"
        self.number = number
        self.config = config or ModelConfig()
        self.digest = digest
        self.wire_inputs = inputs
        self.wire_outputs = OUTPUTS
        self.batching = Batching()
        self.profile = profile
        self.version = Rows(schema_of(signature_of(inputs, OUTPUTS, has_rows=True)))

    @property
    def send(self):
        return self.version.send


@pytest.fixture
def source():
    return np.random.default_rng(7)


@pytest.fixture
def normal_rows(source):
    """`count` rows of FEATURES independent standard normal numbers."""

    def make(count, shifts=()):
        rows = source.standard_normal((count, FEATURES), np.float32)
        for feature, shift in dict(shifts).items():
            rows[:, feature] += shift
        return rows

    return make


@pytest.fixture
def sketch_of():
    """A sketch of rows of `SIGNATURE`; the output is the first feature."""

    def make(rows):
        sketch = core.TableSketch(schema_of(SIGNATURE))
        sketch.add(0, len(rows), np.ascontiguousarray(rows).tobytes())
        sketch.add(1, len(rows), np.ascontiguousarray(rows[:, :1]).tobytes())
        return sketch

    return make


@pytest.fixture
def repository(tmp_path):
    """A repository with version 1 of model `m`, whose tensors are `SIGNATURE`."""
    folder = tmp_path / "repository" / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(mean_model())
    return tmp_path / "repository"


@pytest.fixture
def fastserve(capfd):
    """Runs the command line: `fastserve("drift", "show")`."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        return Outcome(exit_info.value.code, *capfd.readouterr())

    return run
