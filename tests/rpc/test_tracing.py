"""Spans as a collector gets them, from real servers on both transports."""

import re
import subprocess
import sys
import threading
import time
import urllib.request

import grpc
import numpy as np
import pytest
from collector import Collector, attributes

from fastserve._proto import open_inference_grpc_pb2 as pb
from tests.conftest import ServerProcess

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
METADATA = "/inference.GRPCInferenceService/ServerMetadata"

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"
CANCELLED, INVALID_ARGUMENT, OVERDUE, NOT_FOUND, UNIMPLEMENTED, UNAUTHENTICATED = 1, 3, 4, 5, 12, 16
ERROR, UNSET = 2, 0
SERVER_KIND = 2


def request(rows=1, model="affine", name=""):
    tensor = np.ones((rows, 3), np.float32)
    message = pb.ModelInferRequest(model_name=model, id=name)
    message.inputs.add(name="x", datatype="FP32", shape=tensor.shape)
    message.raw_input_contents.append(tensor.tobytes())
    return message.SerializeToString()


def traced(header):
    return (("traceparent", header),)


def tracing(collector, share="0"):
    return {
        "FASTSERVE_TRACING__ENABLED": "true",
        "FASTSERVE_TRACING__SHARE": share,
        "FASTSERVE_TRACING__ENDPOINT": collector.endpoint,
    }


@pytest.fixture(scope="module")
def collector():
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def traced_servers(repository, collector):
    """transport -> a server that traces what its callers sampled, and nothing else."""
    started = {}
    try:
        for transport in ("native", "grpcio"):
            started[transport] = ServerProcess(
                repository, "--transport", transport, env=tracing(collector)
            )
        yield started
    finally:
        for server in started.values():
            server.stop()


@pytest.fixture
def traced_server(traced_servers, transport):
    return traced_servers[transport]


def test_span_of_an_inference_is_a_child_of_its_callers_span(
    traced_server, transport, collector, make_call
):
    before = time.time_ns()
    outcome = make_call(
        traced_server.grpc,
        INFER,
        request(rows=2, name="my request"),
        metadata=(*traced(SAMPLED), ("tracestate", "vendor=opaque")),
    )
    after = time.time_ns()
    assert outcome.code == "OK"
    assert not {"traceparent", "tracestate"} & {key for key, _ in outcome.initial}
    assert outcome.trailers == []
    (span,) = collector.take()
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == PARENT
    assert span.span_id.hex() not in (PARENT, "0" * 16)
    assert span.trace_state == "vendor=opaque"
    assert span.name == "inference.GRPCInferenceService/ModelInfer"
    assert span.kind == SERVER_KIND
    assert span.status.code == UNSET
    assert before <= span.start_time_unix_nano <= span.end_time_unix_nano <= after
    said = attributes(span)
    assert re.fullmatch(r"\d+", str(said.pop("network.peer.port")))
    assert said.pop("fastserve.sent_bytes") == len(outcome.answers[0])
    assert said == {
        "rpc.system": "grpc",
        "rpc.system.name": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "inference.GRPCInferenceService/ModelInfer",
        "rpc.grpc.status_code": 0,
        "rpc.response.status_code": "OK",
        "network.transport": "tcp",
        "network.peer.address": "127.0.0.1",
        "fastserve.transport": transport,
        "fastserve.model": "affine",
        "fastserve.version": 3,
        "fastserve.request_id": "my request",
        "fastserve.rows": 2,
        "fastserve.received_bytes": len(request(rows=2, name="my request")),
    }


def test_phases_of_an_inference_are_events_in_their_order(traced_server, collector, make_call):
    make_call(traced_server.grpc, INFER, request(), metadata=traced(SAMPLED))
    (span,) = collector.take()
    assert [event.name for event in span.events] == [
        "fastserve.received", "fastserve.started", "fastserve.gathered", "fastserve.computed",
    ]  # fmt: skip
    times = [event.time_unix_nano for event in span.events]
    assert [span.start_time_unix_nano, *times, span.end_time_unix_nano] == sorted(
        [span.start_time_unix_nano, *times, span.end_time_unix_nano]
    )


def test_only_calls_whose_caller_sampled_are_traced_when_the_share_is_zero(
    traced_server, collector, make_call
):
    for header in (
        UNSAMPLED,
        "",
        "nonsense",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        SAMPLED.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        SAMPLED + "-more",
        "0" * 4000,
    ):
        outcome = make_call(traced_server.grpc, INFER, request(), metadata=traced(header))
        assert outcome.code == "OK", header
    assert make_call(traced_server.grpc, INFER, request()).code == "OK"
    make_call(traced_server.grpc, INFER, request(name="last"), metadata=traced(SAMPLED))
    (span,) = collector.take()
    assert attributes(span)["fastserve.request_id"] == "last"


def test_traceparent_of_a_later_version_is_followed(traced_server, collector, make_call):
    header = f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like"
    make_call(traced_server.grpc, INFER, request(), metadata=traced(header))
    (span,) = collector.take()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_messages_of_a_stream_are_spans_of_its_trace(traced_server, collector, make_call):
    messages = [request(name="a"), request(model="nobody", name="b"), request(name="c")]
    outcome = make_call(traced_server.grpc, STREAM, *messages, metadata=traced(SAMPLED))
    assert (outcome.code, len(outcome.answers)) == ("OK", 3)
    spans = collector.take(3)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert len({span.span_id for span in spans}) == 3
    codes = {
        attributes(span)["fastserve.request_id"]: attributes(span)["rpc.grpc.status_code"]
        for span in spans
    }
    assert codes == {"a": 0, "b": NOT_FOUND, "c": 0}


@pytest.mark.parametrize(
    ("messages", "code", "status"),
    [
        ([request(model="nobody")], NOT_FOUND, UNSET),
        ([b"\xff"], INVALID_ARGUMENT, UNSET),
        ([request(), request()], 12, ERROR),
        ([], 12, ERROR),
    ],
    ids=["unknown model", "not a message", "two messages", "no message"],
)
def test_refused_call_has_a_span_with_its_status(
    traced_server, collector, make_call, *, messages, code, status
):
    make_call(traced_server.grpc, INFER, *messages, metadata=traced(SAMPLED))
    (span,) = collector.take()
    assert attributes(span)["rpc.grpc.status_code"] == code
    assert span.status.code == status
    assert span.parent_span_id.hex() == PARENT
    assert [event.name for event in span.events] in ([], ["fastserve.received"])


def test_cancelled_and_overdue_calls_have_spans_with_their_status(traced_server, collector):
    with grpc.insecure_channel(traced_server.grpc) as channel:
        method = channel.stream_stream(INFER)
        is_over = threading.Event()

        def silent():
            is_over.wait()
            yield from ()

        overdue = method(silent(), metadata=traced(f"00-{TRACE}-{'1' * 16}-01"), timeout=0.3)
        cancelled = method(silent(), metadata=traced(SAMPLED), timeout=60)
        with pytest.raises(grpc.RpcError):
            next(overdue)
        cancelled.cancel()
        is_over.set()
        codes = {
            span.parent_span_id.hex(): attributes(span)["rpc.grpc.status_code"]
            for span in collector.take(2)
        }
    assert codes[PARENT] == CANCELLED
    # grpcio's client resets an overdue call by itself: whose clock was first decides. Its server
    # may take a call that ended before its message for one without any.
    assert codes["1" * 16] in (CANCELLED, OVERDUE, UNIMPLEMENTED)


def test_control_call_has_a_span(traced_server, transport, collector, make_call):
    metadata = (*traced(SAMPLED), ("x-request-id", "from me" + "!" * 200))
    assert make_call(traced_server.grpc, METADATA, b"", metadata=metadata).code == "OK"
    (span,) = collector.take()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.name == METADATA.removeprefix("/")
    said = attributes(span)
    assert said["fastserve.request_id"] == "from me" + "!" * 121
    assert said["fastserve.transport"] == transport
    assert said["network.peer.address"] == "127.0.0.1"
    assert "fastserve.model" not in said


def test_every_call_begins_a_trace_of_its_own_when_the_share_is_one(
    repository, collector, make_call, start_server, transport
):
    server = start_server(
        repository,
        "--transport",
        transport,
        env=tracing(collector, "1") | {"OTEL_SERVICE_NAME": "scoring"},
    )
    for _ in range(5):
        make_call(server.grpc, INFER, request())
    make_call(server.grpc, INFER, request(), metadata=traced(UNSAMPLED))
    make_call(server.grpc, METADATA, b"")
    server.stop()
    spans = collector.take(6)
    assert len({span.trace_id for span in spans}) == 6
    assert {span.parent_span_id for span in spans} == {b""}
    assert TRACE not in {span.trace_id.hex() for span in spans}
    assert collector.resources[-1]["service.name"] == "scoring"


def test_spans_of_calls_that_end_in_the_drain_arrive(
    repository, collector, make_call, start_server, transport
):
    server = start_server(repository, "--transport", transport, env=tracing(collector))
    for _ in range(20):
        make_call(server.grpc, INFER, request(), metadata=traced(SAMPLED))
    server.stop()
    collector.take(20)


def test_collector_that_is_not_there_costs_no_call(
    repository, free_port, make_call, start_server, transport
):
    environment = {
        "FASTSERVE_TRACING__ENABLED": "true",
        "FASTSERVE_TRACING__SHARE": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    }
    server = start_server(repository, "--transport", transport, env=environment)
    for _ in range(50):
        assert make_call(server.grpc, INFER, request(), timeout=5).code == "OK"
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 15


def test_collector_that_hangs_costs_no_call_and_no_stop(
    repository, make_call, start_server, transport
):
    hanging = Collector()
    hanging.gate.clear()
    try:
        server = start_server(repository, "--transport", transport, env=tracing(hanging, "1"))
        make_call(server.grpc, INFER, request(), timeout=5)
        hanging.wait(lambda: hanging.calls > 0)
        for _ in range(50):
            assert make_call(server.grpc, INFER, request(), timeout=5).code == "OK"
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 15
    finally:
        hanging.stop()


def test_callers_without_a_token_are_not_traced(
    repository, collector, make_call, start_server, *, transport, tmp_path
):
    tokens = tmp_path / "tokens"
    tokens.write_text("scorer infer secret-secret\n")
    server = start_server(
        repository, "--transport", transport, "--token-file", tokens, env=tracing(collector)
    )
    for path in (INFER, METADATA):
        outcome = make_call(server.grpc, path, b"", metadata=traced(SAMPLED))
        assert outcome.code == "UNAUTHENTICATED"
    known = (*traced(SAMPLED), ("authorization", "Bearer secret-secret"))
    assert make_call(server.grpc, INFER, request(), metadata=known).code == "OK"
    server.stop()
    (span,) = collector.take()
    assert attributes(span)["rpc.grpc.status_code"] == 0


def test_server_refuses_to_start_without_opentelemetry_and_says_what_to_install(repository):
    # A finder that knows no opentelemetry, as where the extra is not installed.
    program = (
        "import sys, importlib.abc\n"
        "class Missing(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] == 'opentelemetry':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from fastserve.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", str(repository), "--grpc", "127.0.0.1:0"],
        env={"FASTSERVE_TRACING__ENABLED": "true", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'fastserve[otel]'" in done.stderr


def test_metrics_page_is_served_beside_tracing(traced_server):
    with urllib.request.urlopen(f"http://{traced_server.http}/metrics", timeout=30) as page:
        assert page.status == 200
