"""Lines of the server's log name the call that they are about."""

import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb

LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def server(make_repository, models, tmp_path, start_server, transport):
    repository = make_repository(tmp_path / "models", {"affine/1": models["affine/1"]})
    return start_server(repository, "--transport", transport, "--explicit")


def lines_about(server, request_id):
    return [line for line in server.logs if line.get("request_id") == request_id]


def test_lines_of_a_load_have_the_callers_request_id_and_trace(server, make_call):
    metadata = (("x-request-id", "deploy-42"), ("traceparent", f"00-{TRACE}-{'1' * 16}-00"))
    body = pb.RepositoryModelLoadRequest(model_name="affine").SerializeToString()
    assert make_call(server.grpc, LOAD, body, metadata=metadata).code == "OK"
    server.stop()
    lines = lines_about(server, "deploy-42")
    assert {line["event"] for line in lines} == {"version state"}
    assert {line["trace_id"] for line in lines} == {TRACE}
    # What is not about a request has neither.
    assert all("request_id" not in line for line in server.logs if line["event"] == "ready")


def test_lines_of_two_calls_are_told_apart_without_ids_of_the_callers(server, make_call):
    body = pb.RepositoryModelLoadRequest(model_name="affine").SerializeToString()
    for _ in range(2):
        assert make_call(server.grpc, LOAD, body).code == "OK"
    server.stop()
    ids = {line["request_id"] for line in server.logs if "request_id" in line}
    assert len(ids) == 2
    assert all("trace_id" not in line for line in server.logs)
