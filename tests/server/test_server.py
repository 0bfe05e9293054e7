"""The server as a process: what it starts, says, answers and leaves behind."""

import re
import signal
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper
from prometheus_client.parser import text_string_to_metric_families

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub


def identity():
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.fixture(params=["native", "grpcio"])
def transport(request):
    return request.param


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository" / "same" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(identity())
    return tmp_path / "repository"


def request(rows=1):
    array = np.zeros((rows, 2), np.float32)
    return pb.ModelInferRequest(
        model_name="same",
        inputs=[{"name": "x", "datatype": "FP32", "shape": array.shape}],
        raw_input_contents=[array.tobytes()],
    )


def infer(server, *requests):
    with grpc.insecure_channel(server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        return [stub.ModelInfer(one, timeout=30) for one in requests]


def get(server, path):
    try:
        with urllib.request.urlopen(f"http://{server.http}{path}", timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def events(server, name):
    return [record for record in server.logs if record["event"] == name]


def moves(server, state):
    return [record for record in events(server, "version state") if record["state"] == state]


def test_start_says_what_is_served_and_why(start_server, repository, transport):
    server = start_server(repository, "--transport", transport)
    (loaded,) = moves(server, "READY")
    assert (loaded["model"], loaded["version"]) == ("same", 1)
    assert loaded["batching"].startswith("on: rows are independent")
    (ready,) = events(server, "ready")
    assert (ready["transport"], ready["models"], ready["not_ready"]) == (transport, 1, [])
    assert ready["start_ms"] > 0


def test_start_goes_on_without_a_model_that_fails(start_server, repository, transport):
    broken = repository / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "model.onnx").write_bytes(identity()[:-20])
    server = start_server(repository, "--transport", transport)
    (failed,) = moves(server, "FAILED")
    assert failed["model"] == "broken"
    assert failed["reason"]
    assert infer(server, request())[0].model_version == "1"
    status, body = get(server, "/readyz")
    assert status == 503
    assert body.startswith("broken/1: ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("[batching]\nmax_row = 4\n", "did you mean 'max_rows'?"),
        ("[runtime]\nproviders = [{ name = 'NoSuchProvider' }]\n", "NoSuchProvider"),
    ],
)
def test_start_names_what_is_wrong_in_model_toml(start_server, repository, settings, expected):
    (repository / "same" / "model.toml").write_text(settings)
    server = start_server(repository)
    assert server.first("change", 30)["outcome"] == "failed"
    assert expected in get(server, "/readyz")[1]


def test_external_data_is_served_from_the_versions_folder_and_refused_from_elsewhere(
    start_server, repository
):
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    weight = model.graph.initializer.add(name="w", dims=[2], data_type=TensorProto.FLOAT)
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="w.bin")
    (repository / "same" / "1" / "w.bin").write_bytes(bytes(8))
    (repository / "same" / "1" / "model.onnx").write_bytes(model.SerializeToString())
    server = start_server(repository)
    assert infer(server, request())[0].model_version == "1"
    server.stop()
    (repository / "w.bin").write_bytes(bytes(8))
    weight.external_data[0].value = "../../w.bin"
    (repository / "same" / "1" / "model.onnx").write_bytes(model.SerializeToString())
    (failed,) = moves(start_server(repository), "FAILED")
    assert "tensor 'w'" in failed["reason"]


def test_empty_repository_is_served_and_ready(start_server, tmp_path, transport):
    (tmp_path / "empty").mkdir()
    server = start_server(tmp_path / "empty", "--transport", transport)
    assert get(server, "/readyz") == (200, "ready\n")


def test_healthz_and_readyz_answer(start_server, repository, transport):
    server = start_server(repository, "--transport", transport)
    assert get(server, "/healthz") == (200, "ok\n")
    assert get(server, "/readyz") == (200, "ready\n")
    assert get(server, "/else")[0] == 404


def samples(server):
    status, body = get(server, "/metrics")
    assert status == 200
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def test_metrics_count_requests_rows_and_executions_apart(start_server, repository, transport):
    server = start_server(repository, "--transport", transport)
    bad = request()
    bad.raw_input_contents[0] = b"1"
    infer(server, request(1), request(2), request(5))
    with pytest.raises(grpc.RpcError):
        infer(server, bad)
    found = samples(server)
    labels = (("model", "same"), ("version", "1"))
    assert found["fastserve_requests_total", *labels] == 3
    assert found["fastserve_rows_total", *labels] == 8
    assert found["fastserve_executions_total", *labels] == 3
    assert found["fastserve_in_flight_requests", *labels] == 0
    assert found["fastserve_failures_total", labels[0], ("reason", "invalid"), labels[1]] == 1
    for phase in ("queue", "gather", "compute", "reply", "request"):
        assert found[f"fastserve_{phase}_seconds_count", *labels] == 3
        assert found[f"fastserve_{phase}_seconds_bucket", ("le", "+Inf"), *labels] == 3
    assert found["fastserve_model_ready", *labels] == 1
    assert found["process_resident_memory_bytes",] > 1e6


def test_metrics_never_take_a_label_from_a_request(start_server, repository):
    server = start_server(repository)
    stranger = request()
    stranger.model_name = "made-up-by-a-client"
    with pytest.raises(grpc.RpcError):
        infer(server, stranger)
    assert "made-up-by-a-client" not in get(server, "/metrics")[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signal_drains_and_exits_with_0(start_server, repository, transport, number):
    server = start_server(repository, "--transport", transport)
    infer(server, request())
    server.process.send_signal(number)
    assert server.wait_for("draining", 30)["signal"] == number.name
    assert server.process.wait(30) == 0
    server.stop(expected=0)
    assert events(server, "drained")


def test_drain_that_is_cut_off_exits_with_1(start_server, repository, transport):
    server = start_server(repository, "--transport", transport, "--drain-seconds", "0.2")
    with grpc.insecure_channel(server.grpc) as channel:
        ends = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        gone = threading.Event()

        def silence():
            gone.wait(30)
            yield from ()

        held = ends(silence(), timeout=30)
        with grpc.insecure_channel(server.grpc) as other:
            GRPCInferenceServiceStub(other).ServerLive(pb.ServerLiveRequest(), timeout=30)
        server.stop(expected=1)
        held.cancel()
        gone.set()
    assert events(server, "drain cut off")


def test_port_in_use_exits_with_1_and_names_it(start_server, repository, transport):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError, match="exit status 1") as error:
            start_server(repository, "--transport", transport, "--grpc", address)
    assert "start failed" in str(error.value)
    assert address in str(error.value)


@pytest.mark.parametrize(
    "arguments",
    [("--grpc", "0.0.0.0:0"), ("--http", "0.0.0.0:0"), ("--token-file", "/nothing/here")],
)
def test_refused_settings_exit_with_2(start_server, repository, arguments):
    with pytest.raises(AssertionError, match="exit status 2"):
        start_server(repository, *arguments)


def test_default_addresses_are_loopback(start_server, repository):
    server = start_server(repository)
    listening = [
        connection.laddr.ip
        for connection in psutil.Process(server.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_unix_socket_serves(start_server, repository, tmp_path, transport):
    path = tmp_path / "s"
    server = start_server(repository, "--transport", transport, "--grpc", f"unix:{path}")
    with grpc.insecure_channel(f"unix:{path}") as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(request(), timeout=30)
    assert answer.model_name == "same"
    assert server.process.poll() is None


def mapped(server):
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    return {Path(name).name for name in re.findall(r"\S+\.so[.\d]*$", maps, re.MULTILINE)}


def test_native_server_loads_no_second_runtime_and_nothing_it_does_not_need(
    start_server, repository
):
    server = start_server(repository)
    infer(server, request())
    names = mapped(server)
    assert len([name for name in names if name.startswith("libonnxruntime.so")]) == 1
    for foreign in ("onnxruntime_pybind11", "cygrpc", "_multiarray_umath"):
        assert not [name for name in names if name.startswith(foreign)], foreign


def test_native_server_stays_small_with_a_small_model(start_server, repository):
    server = start_server(repository)
    infer(server, request())
    assert psutil.Process(server.pid).memory_info().rss <= 80 * 2**20
