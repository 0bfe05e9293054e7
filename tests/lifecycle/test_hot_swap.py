"""Versions replaced under traffic: no error, no stale answer, no mixed batch, and the way back."""

import grpc
import pytest

from tests.lifecycle.conftest import SteadyTraffic, constant_model, put, request

SWAPS = 20


@pytest.fixture(params=["native", "grpcio"])
def transport(request):
    return request.param


def test_swaps_under_traffic_lose_nothing_and_answer_nothing_stale(
    start_server, operator_of, repository, transport
):
    server = start_server(repository, "--transport", transport)
    operator = operator_of(server)
    with SteadyTraffic(server) as traffic:
        for number in range(2, SWAPS + 2):
            put(repository, "m", number, constant_model(number))
            operator.load("m", number)
            traffic.floor = number
            assert operator.version() == number
            traffic.wait_for(20)
            if traffic.problems:
                break
    assert traffic.problems == []
    assert traffic.answers > SWAPS * 20
    operator.wait_until(
        lambda: (
            sorted(operator.states().values()).count("READY") == 2
            and "DRAINING" not in operator.states().values()
        )
    )
    states = operator.states()
    assert [number for number, state in states.items() if state == "READY"] == [SWAPS, SWAPS + 1]


def test_load_tells_each_step_and_what_serves(start_server, operator_of, repository):
    operator = operator_of(start_server(repository))
    put(repository, "m", 2, constant_model(2))
    events = operator.load("m", 2)
    assert [event.state for event in events][:4] == ["CHECKING", "LOADING", "WARMING", "READY"]
    assert (events[-1].version, events[-1].is_serving) == (2, True)
    assert events[-1].elapsed_seconds > 0


def test_going_back_is_at_once_since_the_version_before_is_still_loaded(
    start_server, operator_of, repository
):
    server = start_server(repository)
    operator = operator_of(server)
    put(repository, "m", 2, constant_model(2))
    operator.load("m", 2)
    with SteadyTraffic(server) as traffic:
        for number in [1, 2] * 20:
            events = operator.load("m", number)
            assert [event.state for event in events] == ["READY"]
            assert operator.version() == number
    assert traffic.problems == []


def test_version_before_is_given_up_where_model_toml_says_so(start_server, operator_of, repository):
    (repository / "m" / "model.toml").write_text("[versions]\nkeep_previous = 0\n")
    operator = operator_of(start_server(repository))
    put(repository, "m", 2, constant_model(2))
    operator.load("m", 2)
    operator.wait("m", 1, "UNLOADED")
    assert operator.states() == {1: "UNLOADED", 2: "READY"}
    with pytest.raises(grpc.RpcError, match="version 1 is not at ready state \\(unloaded\\)"):
        operator.version(version="1")


def test_standby_answers_who_names_it_and_does_not_serve(start_server, operator_of, repository):
    operator = operator_of(start_server(repository))
    put(repository, "m", 2, constant_model(2))
    operator.load("m", 2, standby=True)
    assert operator.version() == 1
    assert operator.version(version="2") == 2
    assert operator.serving() == [1]


def test_label_is_a_version_string_and_survives_a_restart(start_server, operator_of, repository):
    server = start_server(repository)
    operator = operator_of(server)
    put(repository, "m", 2, constant_model(2))
    operator.load("m", 2, standby=True)
    from fastserve._proto import fastserve_control_pb2 as pb

    operator.control.SetLabel(pb.SetLabelRequest(model="m", label="canary", version=2), timeout=30)
    operator.control.SetLabel(pb.SetLabelRequest(model="m", label="stable", version=1), timeout=30)
    assert operator.version(version="canary") == 2
    assert operator.version(version="stable") == 1
    server.stop()
    (repository / "m" / "model.toml").write_text("[versions]\nlatest = 2\n")
    operator = operator_of(start_server(repository))
    assert operator.version(version="canary") == 2
    assert dict(operator.describe().labels) == {"canary": 2, "stable": 1}
    with pytest.raises(grpc.RpcError, match="a label \\(canary, stable\\)"):
        operator.version(version="gold")


def test_label_is_refused_for_a_version_that_does_not_answer(start_server, operator_of, repository):
    from fastserve._proto import fastserve_control_pb2 as pb

    operator = operator_of(start_server(repository))
    put(repository, "m", 2, constant_model(2))
    message = pb.SetLabelRequest(model="m", label="canary", version=2)
    with pytest.raises(grpc.RpcError, match="version 2 is not found"):
        operator.control.SetLabel(message, timeout=30)
    for label in ("1", "", "a b", "x" * 65):
        message = pb.SetLabelRequest(model="m", label=label, version=1)
        with pytest.raises(grpc.RpcError, match="expected a letter"):
            operator.control.SetLabel(message, timeout=30)


def test_operators_choice_survives_a_restart_and_ends_with_a_newer_version(
    start_server, operator_of, repository
):
    put(repository, "m", 2, constant_model(2))
    server = start_server(repository)
    operator = operator_of(server)
    assert operator.version() == 2
    operator.load("m", 1)
    server.kill()
    server = start_server(repository)
    assert operator_of(server).version() == 1
    server.stop()
    put(repository, "m", 3, constant_model(3))
    assert operator_of(start_server(repository)).version() == 3


def test_changed_signature_is_refused_unless_it_is_allowed(start_server, operator_of, repository):
    operator = operator_of(start_server(repository))
    put(repository, "m", 2, constant_model(2, input_name="rows"))
    with pytest.raises(grpc.RpcError) as refused:
        operator.load("m", 2)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "input 'x' is gone" in refused.value.details()
    assert "input 'rows' is new" in refused.value.details()
    assert operator.version() == 1
    operator.load("m", 2, allow_signature_change=True)
    response = operator.inference.ModelInfer(request(input_name="rows"), timeout=30)
    assert response.model_version == "2"


def test_unload_refuses_the_last_version_unless_forced_and_all_goes_without_a_version(
    start_server, operator_of, repository
):
    operator = operator_of(start_server(repository))
    with pytest.raises(grpc.RpcError, match="is the last one") as refused:
        operator.unload("m", 1)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert operator.version() == 1
    assert operator.unload("m") == [1]
    assert operator.states() == {1: "UNLOADED"}
    with pytest.raises(grpc.RpcError, match="has no available versions") as gone:
        operator.version()
    assert gone.value.code() is grpc.StatusCode.NOT_FOUND
    operator.load("m")
    assert operator.version() == 1


def test_unload_of_what_serves_hands_over_to_the_version_before(
    start_server, operator_of, repository
):
    server = start_server(repository)
    operator = operator_of(server)
    put(repository, "m", 2, constant_model(2))
    operator.load("m", 2)
    with SteadyTraffic(server) as traffic:
        traffic.wait_for(20)
        assert operator.unload("m", 2) == [2]
        assert operator.version() == 1
        traffic.wait_for(20)
    assert traffic.problems == []


def test_reload_reads_changed_files_of_the_same_version_and_leaves_unchanged_ones_alone(
    start_server, operator_of, repository
):
    operator = operator_of(start_server(repository))
    assert operator.version() == 1
    before = operator.describe().versions[0]
    operator.reload()
    assert operator.describe().versions[0].state_seconds > before.state_seconds
    (repository / "m" / "1" / "model.onnx").write_bytes(constant_model(7))
    operator.reload()
    response = operator.inference.ModelInfer(request(), timeout=30)
    assert response.raw_output_contents[0] == b"\x00\x00\xe0\x40"
    after = operator.describe().versions[0]
    assert after.lineage.digest != before.lineage.digest
