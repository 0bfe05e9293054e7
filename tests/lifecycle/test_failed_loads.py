"""Loads that fail, each in its own way: what answered goes on, and the reason is told."""

import os

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper

from fastserve._proto import fastserve_control_pb2 as control_pb
from tests.lifecycle.conftest import SteadyTraffic, constant_model, put


def unknown_operator():
    graph = helper.make_graph(
        [helper.make_node("NoSuchOperator", ["x"], ["version"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("version", TensorProto.FLOAT, ["N", 1])],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def endless():
    """A loop of 2^62 rounds at the first run."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Add", ["sum_in", "sum_in"], ["sum_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_in", TensorProto.FLOAT, ["N", 1]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, ["N", 1]),
        ],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceSum", ["x", "axes"], ["sum"], keepdims=1),
            helper.make_node("Loop", ["rounds", "go", "sum"], ["version"], body=body),
        ],
        "endless",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("version", TensorProto.FLOAT, ["N", 1])],
        [
            helper.make_tensor("rounds", TensorProto.INT64, [], [1 << 62]),
            helper.make_tensor("go", TensorProto.BOOL, [], [True]),
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def missing(repository):
    (repository / "m" / "2").mkdir()


def empty(repository):
    put(repository, "m", 2, b"")


def truncated(repository):
    put(repository, "m", 2, constant_model(2)[:-40])


def text(repository):
    put(repository, "m", 2, b"this is no model\n" * 100)


def pipe(repository):
    os.mkfifo(put(repository, "m", 2, b"") / "other")
    path = repository / "m" / "2" / "model.onnx"
    path.unlink()
    os.mkfifo(path)


def folder(repository):
    (repository / "m" / "2" / "model.onnx").mkdir(parents=True)


def outside(repository):
    secret = repository.parent / "secret.onnx"
    secret.write_bytes(constant_model(2))
    (repository / "m" / "2").mkdir()
    (repository / "m" / "2" / "model.onnx").symlink_to(secret)


def bad_manifest(repository):
    put(repository, "m", 2, constant_model(2))
    (repository / "m" / "2" / "MANIFEST.json").write_text('{"format": 1, "files": {}}')


def operator_unknown(repository):
    put(repository, "m", 2, unknown_operator())


def hanging(repository):
    (repository / "m" / "model.toml").write_text("[load]\ncheck_seconds = 2\n")
    put(repository, "m", 2, endless())


def bad_settings(repository):
    put(repository, "m", 2, constant_model(2))
    (repository / "m" / "model.toml").write_text("[batching]\nmax_row = 3\n")


def wrong_golden(repository):
    golden = put(repository, "m", 2, constant_model(2)) / "golden"
    golden.mkdir()
    np.savez(golden / "one.npz", x=np.ones((3, 2), np.float32), version=np.full((3, 1), 5.0))


WAYS = {
    missing: "m/2/model.onnx: is missing",
    empty: "is empty",
    truncated: "",
    text: "",
    pipe: "not a regular file",
    folder: "not a regular file",
    outside: "leads out of",
    bad_manifest: "MANIFEST.json",
    operator_unknown: "NoSuchOperator",
    hanging: "2 s",
    bad_settings: "did you mean 'max_rows'",
    wrong_golden: r"golden/one.npz: output 'version' differs in 3 of 3 elements",
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_failed_load_leaves_what_serves_and_says_why(start_server, operator_of, repository, way):
    server = start_server(repository)
    pid = server.pid
    operator = operator_of(server)
    way(repository)
    with SteadyTraffic(server, threads=1) as traffic:
        traffic.wait_for(5)
        with pytest.raises(grpc.RpcError) as failed:
            operator.load("m", 2)
        traffic.wait_for(5)
    assert traffic.problems == []
    assert WAYS[way] in failed.value.details()
    assert "\n" not in failed.value.details()
    assert failed.value.code() not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL)
    assert operator.version() == 1
    assert server.process.poll() is None
    assert server.pid == pid
    assert operator.serving() == [1]


def test_load_that_failed_succeeds_when_its_files_are_right(start_server, operator_of, repository):
    operator = operator_of(start_server(repository))
    truncated(repository)
    with pytest.raises(grpc.RpcError):
        operator.load("m", 2)
    assert operator.states() == {1: "READY", 2: "FAILED"}
    put(repository, "m", 2, constant_model(2))
    operator.load("m", 2)
    assert operator.version() == 2


def test_server_whose_newest_version_fails_serves_the_one_before_and_is_ready(
    start_server, operator_of, repository
):
    truncated(repository)
    server = start_server(repository)
    operator = operator_of(server)
    assert operator.version() == 1
    assert operator.states() == {1: "READY", 2: "FAILED"}
    (ready,) = [record for record in server.logs if record["event"] == "ready"]
    assert ready["not_ready"] == []


def test_right_golden_answers_let_a_version_through(start_server, operator_of, repository):
    operator = operator_of(start_server(repository))
    folder = put(repository, "m", 2, constant_model(2))
    (folder / "golden").mkdir()
    np.savez(
        folder / "golden" / "one.npz", x=np.ones((3, 2), np.float32), version=np.full((3, 1), 2.0)
    )
    (folder / "golden" / "two.json").write_text(
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1]}],'
        ' "outputs": [{"name": "version", "datatype": "FP32", "shape": [1, 1], "data": [2]}]}'
    )
    operator.load("m", 2)
    assert operator.version() == 2


def test_recorded_warm_up_that_does_not_fit_is_noted_and_does_not_fail_the_load(
    start_server, operator_of, repository
):
    operator = operator_of(start_server(repository))
    folder = put(repository, "m", 2, constant_model(2))
    (folder / "warmup").mkdir()
    np.savez(folder / "warmup" / "real.npz", x=np.ones((3, 2), np.float32))
    np.savez(folder / "warmup" / "other.npz", y=np.ones((3, 2), np.float32))
    operator.load("m", 2)
    notes = operator.describe().versions[1].notes
    assert len(notes) == 1
    assert "warmup/other.npz: lacks input 'x'" in notes[0]


def test_file_that_nobody_thought_of_fails_its_own_version_and_not_the_start(
    start_server, operator_of, repository
):
    warmup = put(repository, "odd", 1, constant_model(1)) / "golden"
    warmup.mkdir()
    (warmup / "a.json").write_text(
        '{"inputs": [{"name": "x", "datatype": "UINT8", "shape": [2], "data": [300, 1]}]}'
    )
    operator = operator_of(start_server(repository))
    assert operator.version() == 1
    assert operator.states("odd") == {1: "FAILED"}


def test_load_that_is_refused_leaves_one_under_way_its_effect(
    start_server, operator_of, repository
):
    put(repository, "m", 2, constant_model(2))
    operator = operator_of(start_server(repository, "--explicit"))
    call = operator.control.LoadModel(control_pb.LoadModelRequest(model="m"), timeout=60)
    with pytest.raises(grpc.RpcError, match="version 99 is not found"):
        operator.load("m", 99)
    assert list(call)[-1].is_serving
    assert operator.version() == 2


def test_wait_for_any_version_ends_with_the_reasons_when_all_have_failed(
    start_server, operator_of, repository
):
    put(repository, "bad", 1, b"")
    put(repository, "bad", 2, b"no model")
    operator = operator_of(start_server(repository))
    with pytest.raises(grpc.RpcError) as failed:
        operator.wait("bad")
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "version 1: bad/1/model.onnx: is empty; version 2: " in failed.value.details()


def test_wait_for_any_version_goes_on_while_one_of_them_answers(
    start_server, operator_of, repository
):
    truncated(repository)
    operator = operator_of(start_server(repository))
    assert operator.wait("m")[-1].version == 1
