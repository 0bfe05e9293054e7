"""Rollouts on each transport, through the client."""

import pytest
from rollout_server import RolloutServer

from fastserve.client import RolloutClient
from fastserve.errors import FastserveError, Forbidden, ModelNotFound
from fastserve.tokens import Role, Token

SECRETS = ("secret-1", "secret-2")
DECLARED = {
    "baseline": 1,
    "candidate": 2,
    "steps": [{"weight": 0.1, "min_requests": 10}, {"weight": 0.5, "min_requests": 10}],
    "guards": {"latency": {"enabled": False}, "outputs": {"enabled": False}},
}


@pytest.fixture
def server(tmp_path, transport):
    with RolloutServer(tmp_path, transport).running() as server:
        yield server


@pytest.fixture
def client(server):
    with RolloutClient(
        server.address, timeout=30, metadata=(("fastserve-actor", "anna"),)
    ) as client:
        yield client


def test_rollout_is_started_judged_and_promoted(server, client):
    begun = client.start("m", DECLARED, reason="release 7")
    assert (begun["state"], begun["weight"]) == ("running", 0.1)
    assert begun["last"]["actor"] == "anonymous (anna)"
    assert begun["last"]["reason"] == "release 7"
    server.pass_seconds(5)
    (status,) = client.status()
    assert status["judgement"]["verdict"] == "hold"
    (guard,) = status["judgement"]["guards"]
    assert (guard["name"], guard["candidate_requests"]) == ("errors", 200)
    assert "upper" not in guard
    assert status["judgement"]["awaited"][0] == "56 more seconds"
    server.pass_seconds(400)
    (status,) = client.status("m")
    assert (status["state"], status["weight"]) == ("promoted", 1.0)
    assert [change["after"] for change in client.history("m")] == [
        "running", "running", "promoted",
    ]  # fmt: skip


def test_rollback_by_the_judge_keeps_its_evidence(server, client):
    client.start("m", DECLARED)
    server.pass_seconds(60, failed=5)
    change = client.history("m")[-1]
    assert (change["after"], change["actor"]) == ("rolled_back", "judge")
    (guard,) = change["guards"]
    assert guard["verdict"] == "fail"
    assert guard["value"] == pytest.approx(0.1)


def test_orders_move_the_rollout(server, client):
    client.start("m", DECLARED)
    assert client.pause("m", reason="lunch\n\x1b[0m")["last"]["reason"] == "lunch  [0m"
    assert client.resume("m")["state"] == "running"
    assert client.rollback("m")["state"] == "rolled_back"
    client.start("m", DECLARED)
    assert client.promote("m")["weight"] == 1.0
    with pytest.raises(FastserveError, match="cannot pause a rollout that is promoted") as raised:
        client.pause("m")
    assert raised.value.code == 9


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"candidate": 1}, "candidate: is 1, as is the baseline"),
        ({"baseline": 0}, "Expected `int` >= 1 - at `$.baseline`"),
        ({"steps": []}, "length >= 1"),
        ({"steps": [{"weight": -0.1}]}, "Expected `float` > 0.0"),
        ({"steps": [{"weight": 1.0}]}, "Expected `float` < 1.0"),
        ({"steps": [{"weight": 0.5}, {"weight": 0.1}]}, "is not above that of the step before"),
        ({"steps": [{"weight": 0.5, "max_seconds": 10}]}, "is not above its min_seconds"),
        ({"steps": [{"weight": 0.5, "min_request": 10}]}, "'min_requests' is a key"),
        ({"alpha": 0.5}, "Expected `float` <= 0.2"),
        ({"guards": {"errors": {"max_increase": 0}}}, "Expected `float` > 0.0"),
        ({"guards": {"latency": {"quantiles": [0.5, 0.5]}}}, "names one twice"),
        ({"guards": {name: {"enabled": False} for name in ("errors", "latency", "outputs")}},
         "none is enabled"),
        ({"candidate": 7}, "version 7 of model 'm' is not loaded"),
    ],
)  # fmt: skip
def test_rollout_that_makes_no_sense_is_refused(server, client, change, problem):
    with pytest.raises(FastserveError) as raised:
        client.start("m", DECLARED | change)
    assert problem in raised.value.message
    assert server.world.routes.calls == []
    with pytest.raises(ModelNotFound):
        client.status("m")


def test_not_a_number_is_no_json(client):
    with pytest.raises(FastserveError, match="rollout: not JSON"):
        client.start("m", DECLARED | {"alpha": float("nan")})


def test_reader_of_inference_may_not_move_anything(tmp_path, transport):
    tokens = (Token("web", Role.INFER, SECRETS[0]), Token("ci", Role.OPERATOR, SECRETS[1]))
    with RolloutServer(tmp_path, transport, tokens=tokens).running() as server:
        with RolloutClient(server.address, token=SECRETS[0], timeout=30) as client:
            for call in (client.start, client.pause, client.promote, client.history):
                with pytest.raises(Forbidden, match="needs the role operator"):
                    call("m", *([DECLARED] if call == client.start else []))
        with RolloutClient(server.address, token=SECRETS[1], timeout=30) as client:
            assert client.start("m", DECLARED)["last"]["actor"] == "ci"
