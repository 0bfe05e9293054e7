"""The seam to versions: runs outside of the queue, what a version refuses to be, what it shows."""

import select
import struct

import numpy as np
import pytest
from onnx import TensorProto, helper

from fastserve._core import core
from fastserve.client import InferRequest
from fastserve.errors import InvalidConfig
from fastserve.model_config import CaptureConfig
from fastserve.models.loader import check_capture, find_runtime_library

ROWS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)


def model(nodes, inputs, outputs):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info(*spec) for spec in outputs],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


SUM = model(
    [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Neg", ["a"], ["negative"])],
    [("a", TensorProto.FLOAT, ["N", 4]), ("b", TensorProto.FLOAT, ["N", 4])],
    [("sum", TensorProto.FLOAT, ["N", 4]), ("negative", TensorProto.FLOAT, ["N", 4])],
)
TEXT = model(
    [helper.make_node("Identity", ["x"], ["y"])],
    [("x", TensorProto.STRING, ["N", 1])],
    [("y", TensorProto.STRING, ["N", 1])],
)


@pytest.fixture(scope="module")
def library():
    return core.Library(str(find_runtime_library()))


@pytest.fixture
def engine():
    engine = core.Engine(
        executors=1,
        max_ports=4,
        max_queue_rows=1000,
        max_queue_bytes=1 << 20,
        max_total_queue_bytes=1 << 20,
        inline_budget_ns=0,
    )
    yield engine
    engine.close()


@pytest.fixture
def make(library, engine):
    def make(data=SUM, **settings):
        return engine.make_version(
            core.Session(library, data, {}, "m/1"),
            model="m",
            number=1,
            **{
                "is_batching": True, "has_rows_axis": True, "max_rows": 8, "has_fixed_rows": False,
                "max_delay_ns": 0, "weight": 1, "max_queue_rows": 0, "max_queue_bytes": 0,
                "allow_inline": True,
            }
            | settings,
        )  # fmt: skip

    return make


def tensor(array):
    return array.shape, array.tobytes()


def wire_text(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def test_version_run_returns_every_output_in_the_signatures_order(make):
    version = make()
    assert version.predict_ns(1) == 0
    answer = version.run([tensor(ROWS), tensor(10 * ROWS)])
    assert [(datatype, shape) for datatype, shape, _ in answer] == [("FP32", (2, 4))] * 2
    np.testing.assert_array_equal(np.frombuffer(answer[0][2], np.float32), 11 * ROWS.ravel())
    np.testing.assert_array_equal(np.frombuffer(answer[1][2], np.float32), -ROWS.ravel())
    assert version.predict_ns(1) > 0
    assert version.stats().requests == 0


def test_version_run_takes_bytes_in_raw_form(make):
    version = make(TEXT)
    data = wire_text(b"one", b"")
    assert version.run([((2, 1), data)]) == [("BYTES", (2, 1), data)]
    with pytest.raises(core.CoreError, match="input 'x': BYTES element 1 of 2 says it has 9 bytes"):
        version.run([((2, 1), wire_text(b"one") + b"\x09\0\0\0")])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "expected 2 inputs but got 0 inputs for model 'm'"),
        ([tensor(ROWS[0]), tensor(ROWS)], "unexpected shape for input 'a'"),
        ([tensor(ROWS), tensor(ROWS[:, :3])], r"input 'b' .* Expected \[-1,4\], got \[2,3\]"),
        ([tensor(ROWS), ((2, 4), b"1234")], "size mismatch for input 'b' .* Expected 32, got 4"),
        ([tensor(ROWS), ((-1, 4), b"")], r"input 'b' .* got \[-1,4\]"),
        ([tensor(ROWS), tensor(ROWS[:1])], "input 'b' batch size does not match"),
        ([tensor(ROWS), ((1,) * 17, b"")], "input 1 has 17 dimensions, at most 16"),
    ],
)
def test_version_run_refuses_what_does_not_fit_by_name(make, inputs, message):
    with pytest.raises(core.CoreError, match=message) as caught:
        make().run(inputs)
    assert caught.value.code == 3


def test_version_run_refuses_objects_that_are_no_bytes(make):
    with pytest.raises(TypeError):
        make().run([(ROWS.shape, ROWS), (ROWS.shape, ROWS)])


def test_version_run_fails_once_the_engine_is_closed(make, engine):
    version = make()
    engine.close()
    with pytest.raises(ValueError, match="closed"):
        version.run([tensor(ROWS), tensor(ROWS)])


def test_version_shows_and_takes_the_shapes_that_clients_use(make):
    version = make(reshapes=[(True, "a", (2, 2), (4,)), (False, "sum", (4, 1), (4,))])
    assert [spec.shape for spec in version.inputs] == [(-1, 2, 2), (-1, 4)]
    assert [spec.shape for spec in version.outputs] == [(-1, 4, 1), (-1, 4)]
    answer = version.run([tensor(ROWS.reshape(2, 2, 2)), tensor(ROWS)])
    assert [shape for _, shape, _ in answer] == [(2, 4, 1), (2, 4)]
    np.testing.assert_array_equal(np.frombuffer(answer[0][2], np.float32), 2 * ROWS.ravel())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"priority_levels": 2}, "default_priority is 0, expected one of the levels 1 to 2"),
        ({"queue_policies": [(-1000, False, False, 0)]}, "timeout of a queue policy is -1 us"),
        ({"queue_policies": [(0, True, True, 0)] * 2}, "for 1 levels, but priority_levels is 0"),
        ({"reshapes": [(True, "c", (4,), (4,))]}, "input 'c' .* no such tensor"),
        ({"reshapes": [(True, "a", (3,), (4,))]}, "input 'a' cannot be reshaped"),
        ({"reshapes": [(False, "sum", (1,) * 17, (4,))]}, "output 'sum' has 17 dimensions"),
    ],
)
def test_make_version_refuses_rules_that_make_no_sense(make, settings, message):
    with pytest.raises(core.CoreError, match=message) as caught:
        make(**settings)
    assert caught.value.code == 3


def test_make_version_takes_priorities_and_policies(make):
    version = make(
        priority_levels=2,
        default_priority=2,
        queue_policies=[(0, False, False, 0), (1_000_000, True, True, 7)],
        max_request_rows=16,
    )
    assert len(version.run([tensor(ROWS), tensor(ROWS)])) == 2


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("a[3]", ""),
        ("sum", ""),
        ("a[4]", r"capture.drop: 'a' has 4 elements a row, got 4, counted from 0"),
        ("c", r"capture.drop: 'c' is no field of the model"),
    ],
)
def test_capture_of_a_field_that_the_graph_does_not_have_is_refused(library, field, problem):
    session = core.Session(library, SUM, {}, "m/1")
    config = CaptureConfig(drop=(field,))
    if not problem:
        check_capture(config, session)
        return
    with pytest.raises(InvalidConfig, match=problem):
        check_capture(config, session)


def test_window_is_taken_also_after_the_engine_has_closed(make, engine):
    """Another thread may look at its versions while the server ends."""
    version = make()
    version.watch(
        core.TableSchema([
            ("a", True, "FP32", 4), ("b", True, "FP32", 4),
            ("sum", False, "FP32", 4), ("negative", False, "FP32", 4),
        ])
    )  # fmt: skip
    engine.close()
    assert version.take_window() is None
    assert version.watch_stats().rows_seen == 0


def test_rows_of_a_model_without_inputs_are_counted_as_seen(make, engine):
    one = helper.make_tensor("one", TensorProto.FLOAT, [1, 3], [1, 2, 3])
    data = model(
        [helper.make_node("Constant", [], ["y"], value=one)],
        [], [("y", TensorProto.FLOAT, [1, 3])],
    )  # fmt: skip
    version = make(data, is_batching=False, has_rows_axis=False, max_rows=1)
    version.watch(core.TableSchema([("y", False, "FP32", 3)]))
    engine.publish("m", [version], 1, [], {})
    port = core.RawPort(engine)
    port.submit(7, InferRequest(model="m", inputs={}).serialize(), -1)
    while not (answers := port.take()):
        select.select([port.event_fd], [], [], 30)
    port.close()
    assert [(token, code) for token, code, *_ in answers] == [(7, 0)]
    assert version.take_window().rows == 1
    assert version.watch_stats() == (1, 1, 0, [])
