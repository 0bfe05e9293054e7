"""Many models in one process, and more of them than the memory budget holds."""

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastserve._proto import fastserve_control_pb2 as control_pb, open_inference_grpc_pb2 as pb
from tests.lifecycle.conftest import constant_model, put, request

MODELS = 60
WEIGHT_BYTES = 2_000_000


@pytest.fixture
def many(tmp_path):
    root = tmp_path / "repository"
    for number in range(MODELS):
        put(root, f"m{number:03}", 1, constant_model(1))
    return root


@pytest.fixture
def heavy(tmp_path):
    root = tmp_path / "repository"
    for number in range(8):
        put(root, f"m{number}", 1, constant_model(1, weight_bytes=WEIGHT_BYTES))
    return root


def test_many_models_answer(start_server, operator_of, many):
    operator = operator_of(start_server(many))
    for number in range(MODELS):
        assert operator.version(f"m{number:03}") == 1


def loaded(operator):
    listed = operator.control.ListModels(control_pb.ListModelsRequest(), timeout=30)
    return {m.name: v.memory_bytes for m in listed.models for v in m.versions if v.state == "READY"}


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_models_beyond_the_budget_are_loaded_when_asked_for(
    start_server, operator_of, heavy, transport
):
    server = start_server(heavy, "--memory-budget", "6MiB", "--transport", transport)
    operator = operator_of(server)
    at_start = loaded(operator)
    assert 0 < len(at_start) < 8
    ready = operator.inference.ServerReady(pb.ServerReadyRequest(), timeout=30)
    assert ready.ready
    for _ in range(2):
        for number in range(8):
            assert operator.version(f"m{number}") == 1
            assert sum(loaded(operator).values()) <= 6 << 20
            assert f"m{number}" in loaded(operator)


def test_budget_gives_up_what_was_not_asked_for_longest(start_server, operator_of, heavy):
    operator = operator_of(start_server(heavy, "--memory-budget", "6MiB"))
    for name in ("m7", "m0", "m6"):
        operator.version(name)
    kept = loaded(operator)
    room = len(kept)
    order = ["m1", "m2", "m3", "m4"][: room + 1]
    for name in order:
        operator.version(name)
    assert set(loaded(operator)) >= set(order[-room + 1 :])
    assert "m7" not in loaded(operator)


def test_requests_that_wait_for_a_model_keep_their_deadline_and_are_told_of_a_failure(
    start_server, operator_of, heavy
):
    put(heavy, "broken", 1, b"no model")
    operator = operator_of(start_server(heavy, "--memory-budget", "6MiB"))
    for name in ("m1", "m2", "m3", "m4", "m5"):
        operator.version(name)
    with pytest.raises(grpc.RpcError) as late:
        operator.inference.ModelInfer(request("m7"), timeout=0.001)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    with pytest.raises(grpc.RpcError, match=r"not at ready state|no available versions"):
        operator.version("broken")
    assert operator.version("m7") == 1


def test_version_that_the_budget_can_never_hold_is_refused(start_server, operator_of, heavy):
    put(heavy, "huge", 1, constant_model(1, weight_bytes=40_000_000))
    operator = operator_of(start_server(heavy, "--memory-budget", "6MiB"))
    operator.version("m1")
    with pytest.raises(grpc.RpcError, match="raise --memory-budget"):
        operator.load("huge")
    assert operator.version("m1") == 1


def test_metadata_of_a_model_that_is_not_loaded_loads_it(start_server, operator_of, heavy):
    operator = operator_of(start_server(heavy, "--memory-budget", "6MiB"))
    assert "m7" not in loaded(operator)
    assert operator.inference.ModelReady(pb.ModelReadyRequest(name="m7"), timeout=30).ready
    metadata = operator.inference.ModelMetadata(pb.ModelMetadataRequest(name="m7"), timeout=30)
    assert [each.name for each in metadata.inputs] == ["x"]
    assert "m7" in loaded(operator)


def test_explicit_mode_loads_what_is_named_and_nothing_else(start_server, operator_of, many):
    server = start_server(many, "--explicit", "--load-model", "m003", "--load-model", "m007")
    operator = operator_of(server)
    assert set(loaded(operator)) == {"m003", "m007"}
    assert operator.inference.ServerReady(pb.ServerReadyRequest(), timeout=30).ready
    with pytest.raises(grpc.RpcError, match="has no available versions"):
        operator.version("m001")
    operator.inference.RepositoryModelLoad(
        pb.RepositoryModelLoadRequest(model_name="m001"), timeout=30
    )
    assert operator.version("m001") == 1
    operator.inference.RepositoryModelUnload(
        pb.RepositoryModelUnloadRequest(model_name="m001"), timeout=30
    )
    with pytest.raises(grpc.RpcError, match="has no available versions"):
        operator.version("m001")


def test_state_changes_are_counted(start_server, many):
    import urllib.request

    server = start_server(many)
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as page:
        families = {
            each.name: each for each in text_string_to_metric_families(page.read().decode())
        }
    changes = families["fastserve_version_state_changes"].samples
    ready = [s for s in changes if s.labels == {"model": "m003", "state": "READY"}]
    assert [sample.value for sample in ready] == [1]
