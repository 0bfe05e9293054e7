"""From an inference through the engine to its label: what is kept is what was answered."""

import select
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from feedback_seed import Scene

from fastserve._core import core
from fastserve.client import InferRequest
from fastserve.drift.feedback_label import Label
from fastserve.drift.feedback_segment_input import segment_input
from fastserve.models.loader import find_runtime_library

# y = x0 + x1 of each row; the country goes through.
GRAPH = helper.make_graph(
    [
        helper.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=1),
        helper.make_node("Identity", ["country"], ["c"]),
    ],
    "g",
    [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2]),
        helper.make_tensor_value_info("country", TensorProto.STRING, ["N"]),
    ],
    [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1]),
        helper.make_tensor_value_info("c", TensorProto.STRING, ["N"]),
    ],
    [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
)


@pytest.fixture
def served():
    """(scene, ask): `ask` sends a request through the engine and waits for its answer."""
    scene = Scene(task="regression", output="y", segment="country")
    model = helper.make_model(
        GRAPH, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    engine = core.Engine(
        executors=1, max_ports=2, max_queue_rows=100, max_queue_bytes=1 << 20,
        max_total_queue_bytes=1 << 20, inline_budget_ns=0,
    )  # fmt: skip
    session = core.Session(core.Library(str(find_runtime_library())), model, {}, "m/1")
    version = engine.make_version(
        session, model="m", number=1, is_batching=True, has_rows_axis=True, max_rows=8,
        has_fixed_rows=False, max_delay_ns=0, weight=1, max_queue_rows=0, max_queue_bytes=0,
        allow_inline=True,
    )  # fmt: skip
    names = [spec.name for spec in version.inputs]
    version.watch(predictions=scene.store, segment=segment_input(scene.config, names))
    engine.publish("m", [version], 1, [], {})
    port = core.RawPort(engine)

    def ask(request_id, x, countries):
        inputs = {"x": np.array(x, np.float32), "country": np.array(countries, object)}
        request = InferRequest(model="m", inputs=inputs, request_id=request_id)
        port.submit(7, request.serialize(), -1)
        while not (answers := port.take()):
            select.select([port.event_fd], [], [], 30)
        assert [(token, code) for token, code, *_ in answers] == [(7, 0)]
        # The observer comes round by itself; this does not wait for it.
        version.take_window()

    yield scene, ask
    port.close()
    engine.close()


def test_label_is_held_against_what_was_answered(served):
    scene, ask = served
    # What the engine keeps has the time of the real clock.
    scene.clock.monotonic_ns = time.monotonic_ns
    ask("order-1", [[1, 2], [3, 4]], ["de", "fr"])
    ask("order-2", [[5, 5]], ["de"])
    assert scene.send(Label("order-1", [3, 5]), Label("order-2", [11])) == [("joined", "")] * 2
    assert scene.measures() == {"mae": 1.0, "rmse": pytest.approx(np.sqrt(5 / 3)), "bias": 1 / 3}
    assert scene.measures("de")["mae"] == 0.5
    assert scene.measures("fr")["mae"] == 2.0


def test_request_without_an_id_is_not_kept(served):
    scene, ask = served
    ask("", [[1, 2]], ["de"])
    stats = scene.store.stats()
    assert (stats.records, stats.kept) == (0, 0)
