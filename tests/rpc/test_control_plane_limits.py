"""Calls that Python answers: a client that does not read, leaves, or floods costs only itself."""

import threading
import time
import urllib.request

import grpc
import psutil
import pytest

from fastserve._proto import health_pb2, open_inference_grpc_pb2 as pb, reflection_pb2
from fastserve._proto.health_pb2_grpc import HealthStub
from fastserve._proto.open_inference_grpc_pb2_grpc import GRPCInferenceServiceStub

REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
# The answer is some 20 KB: a thousand times the question.
QUESTION = reflection_pb2.ServerReflectionRequest(
    file_containing_symbol="inference.GRPCInferenceService"
).SerializeToString()


def open_calls(server):
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("fastserve_open_calls "):
                return float(line.split()[1])
    raise AssertionError("no fastserve_open_calls")


def wait_for_open_calls(server, count):
    """Reading the page takes its time, so nothing else needs to wait."""
    deadline = time.monotonic() + 30
    while open_calls(server) != count:
        assert time.monotonic() < deadline, f"{open_calls(server)} calls are open"


@pytest.fixture
def lone_server(start_server, make_repository, models, tmp_path, transport):
    repository = make_repository(tmp_path / "repository", {"affine/1": models["affine/1"]})
    return start_server(repository, "--transport", transport)


def test_client_that_asks_and_never_reads_is_bounded(lone_server):
    sent = 0
    enough = threading.Event()

    def questions():
        nonlocal sent
        while not enough.is_set() and sent < 100_000:
            sent += 1
            yield QUESTION

    process = psutil.Process(lone_server.pid)
    with grpc.insecure_channel(lone_server.grpc) as channel:
        held = channel.stream_stream(REFLECTION)(questions(), timeout=60)
        next(held)
        # Whatever the first stream does, others are answered.
        stub = GRPCInferenceServiceStub(channel)
        with grpc.insecure_channel(lone_server.grpc) as other:
            stub = GRPCInferenceServiceStub(other)
            for _ in range(300):
                assert stub.ServerLive(pb.ServerLiveRequest(), timeout=30).live
        assert process.memory_info().rss < 200 * 2**20
        enough.set()
        held.cancel()
    wait_for_open_calls(lone_server, 0)


def test_answers_larger_than_the_window_all_arrive_in_order(lone_server):
    """About 40 MB, many times what may be on its way unasked."""
    count = 2_000
    questions = [
        reflection_pb2.ServerReflectionRequest(
            host=str(number), file_containing_symbol="inference.GRPCInferenceService"
        ).SerializeToString()
        for number in range(count)
    ]
    with grpc.insecure_channel(lone_server.grpc) as channel:
        answers = channel.stream_stream(
            REFLECTION,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(iter(questions), timeout=120)
        assert [answer.valid_host for answer in answers] == [str(n) for n in range(count)]


def test_calls_of_a_client_that_leaves_are_ended(lone_server):
    channel = grpc.insecure_channel(lone_server.grpc)
    stub = HealthStub(channel)
    watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(20)]
    for watch in watches:
        next(watch)
    assert open_calls(lone_server) == 20
    channel.close()
    wait_for_open_calls(lone_server, 0)


def test_calls_whose_deadline_passes_are_ended(lone_server):
    with grpc.insecure_channel(lone_server.grpc) as channel:
        stub = HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
        with pytest.raises(grpc.RpcError) as error:
            list(watch)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_for_open_calls(lone_server, 0)


def test_compressed_requests_are_understood(lone_server):
    with grpc.insecure_channel(lone_server.grpc, compression=grpc.Compression.Gzip) as channel:
        request = health_pb2.HealthCheckRequest(service="affine")
        answer = HealthStub(channel).Check(request, timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_inferences_and_control_calls_share_one_connection(lone_server):
    array = b"\x00\x00\x80\x3f" * 3
    request = pb.ModelInferRequest(
        model_name="affine",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 3]}],
        raw_input_contents=[array],
    )
    with grpc.insecure_channel(lone_server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        futures = []
        for _ in range(200):
            futures.append(stub.ModelInfer.future(request, timeout=30))
            futures.append(stub.ModelReady.future(pb.ModelReadyRequest(name="affine"), timeout=30))
        answers = [future.result() for future in futures]
    assert all(answer.ready for answer in answers[1::2])
    assert {answer.raw_output_contents[0] for answer in answers[::2]} == {b"\x00\x00\x40\x40" * 3}
