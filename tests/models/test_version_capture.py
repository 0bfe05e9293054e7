"""From requests of a version to rows of a file: what went over the wire is what is written."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.append(str(Path(__file__).parents[1] / "observe"))  # test folders are not packages

from captured import Clock, rows_of, rules

from fastserve._core import core
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.config import CaptureSettings
from fastserve.models.loader import find_runtime_library
from fastserve.observe.capture_folder import CaptureFolder
from fastserve.observe.capture_store import CaptureStore

NEVER = (1 << 63) - 1
REQUESTS = 60


@pytest.fixture
def version_and_port():
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    engine = core.Engine(
        executors=1, max_ports=4, max_queue_rows=1000, max_queue_bytes=1 << 20,
        max_total_queue_bytes=1 << 20, inline_budget_ns=0,
    )  # fmt: skip
    library = core.Library(str(find_runtime_library()))
    version = engine.make_version(
        core.Session(library, model.SerializeToString(), {}, "digits/1"), model="digits", number=1,
        is_batching=True, has_rows_axis=True, max_rows=8, has_fixed_rows=False, max_delay_ns=0,
        weight=1, max_queue_rows=1000, max_queue_bytes=1 << 20, allow_inline=True,
    )  # fmt: skip
    port = core.RawPort(engine)
    yield engine, version, port
    port.close()
    engine.close()


def message(number, rows):
    x = np.arange(rows * 3, dtype=np.float32) + 100 * number
    return pb.ModelInferRequest(
        model_name="digits", id=f"id-{number}",
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[rows, 3])
        ],
        raw_input_contents=[x.tobytes()],
    ).SerializeToString()  # fmt: skip


def taken(queue, count):
    """So many captured requests; the observer's thread puts them in when it has time."""
    requests = []
    while len(requests) < count:
        queue.wait(1, 30.0)
        some = queue.take(1 << 20)
        assert some, queue.stats()
        requests += some
    return requests


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_chosen_requests_are_written_as_they_came_with_their_answers(
    version_and_port, tmp_path, share
):
    engine, version, port = version_and_port
    queue = core.CaptureQueue(64 << 20)
    version.watch(captures=queue, capture_share=share, seed=1)
    engine.publish("digits", [version], 1, [], {})
    # Several in a batch, whose rows belong to different requests.
    for number in range(REQUESTS):
        port.submit(number, message(number, 1 + number % 3), NEVER)
    chosen = [n for n in range(REQUESTS) if core.is_captured(share, f"id-{n}", 0, 0)]
    folder = CaptureFolder(tmp_path / "capture", max_bytes=1 << 30, min_free_bytes=0)
    store = CaptureStore(folder, CaptureSettings(min_free_bytes=0), key=None, server_version="1",
                         clock=Clock())  # fmt: skip
    store.register(rules())
    for request in taken(queue, len(chosen)):
        store.add(request)
    store.finish_all()
    folder.close()
    assert (store.counts.captured, store.counts.failed) == (len(chosen), 0)
    rows = rows_of(tmp_path)
    assert {(row["_id"], row["_row"]) for row in rows} == {
        (f"id-{n}", place) for n in chosen for place in range(1 + n % 3)
    }
    for row in rows:
        number = int(row["_id"][3:])
        x = [100 * number + 3 * row["_row"] + place for place in range(3)]
        assert row["x"] == x
        assert row["y"] == [-value for value in x]
        assert 0 <= row["_queue_ns"] <= row["_total_ns"]
    assert queue.stats().offered == len(chosen)
