"""Strategies of a real server: bandits, results of A/B tests, rollouts of model.toml."""

import itertools
import json
import shutil
import time
import urllib.request

import grpc
import numpy as np
import pytest

from fastserve._proto import fastserve_control_pb2 as control_pb
from fastserve._proto.fastserve_control_pb2_grpc import ControlStub
from fastserve.client import Client, ReleaseClient, RolloutClient
from fastserve.errors import FastserveError

SECONDS = 60
USER = "x-user"
# A score below a half says no: version 1 is wrong about everything, version 2 right.
FEEDBACK = '[feedback]\nclasses = ["no", "yes"]\npositive_class = "yes"\n'
IDS = itertools.count()


def eventually(look):
    """What `look` gives once it gives something; the server looks once a second."""
    deadline = time.monotonic() + SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # another process moves, and tells nobody
    return found


def audit(server, action):
    with grpc.insecure_channel(server.grpc) as channel:
        lines = ControlStub(channel).ShowAudit(control_pb.ShowAuditRequest(), timeout=30)
        found = [json.loads(line.json) for line in lines]
    return [entry for entry in found if entry["action"] == action]


@pytest.fixture
def scored(repository, put_version):
    """The repository with two versions, of which the second one is right."""
    put_version(1, 0.1)
    put_version(2, 0.9)
    (repository / "m" / "model.toml").write_text(f"[versions]\nall = true\n{FEEDBACK}")
    return repository


def label(client, count):
    """Asks, and says of each answer that yes was true; gives how many came from each version."""
    rows, answers = np.zeros((1, 2), np.float32), []
    for _ in range(count):
        id_ = f"r{next(IDS)}"
        answers.append(client.infer("m", {"x": rows}, request_id=id_).version)
        # Early: its prediction is on its way to the store, and the label waits for it.
        (outcome,) = client.feedback("m", {id_: ["yes"]}).outcomes
        assert outcome in {"joined", "early"}
    return {version: answers.count(version) for version in set(answers)}


def test_bandit_moves_to_the_version_that_labels_say_is_right(start_server, scored, fastserve):
    server = start_server(scored)
    out = fastserve(
        *("route", "set", "m", "--weight", "1=0.9", "--weight", "2=0.1", "--strategy", "bandit"),
        *("--min-share", "0.1", "--interval-seconds", "1", "--endpoint", server.grpc),
    )
    assert "m: bandit, generation 1" in out
    assert "bounds: 10.00 % to 90.00 % each, moved once in 1 seconds at most" in out
    assert "awaited: a label of version 1, 2 (the declared shares stand" in out
    with ReleaseClient(server.grpc, timeout=30) as release, Client(server.grpc) as client:

        def moved():
            label(client, 20)
            (state,) = release.show_routes("m")
            weights = {e["version"]: e["weight"] for e in state["route"]["entries"]}
            return state if weights[2] > 0.8 else None

        state = eventually(moved)
        assert (state["route"]["strategy"], state["actor"]) == ("bandit", "bandit")
        wrong, right = state["bandit"]["arms"]
        assert wrong["wrong"] > 0 == wrong["right"]
        assert right["right"] > 0 == right["wrong"]
        assert label(client, 50)["2"] > 25
    assert "RIGHT  WRONG  STATE" in fastserve("route", "show", "m", "--endpoint", server.grpc)
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as answer:
        assert b'fastserve_bandit_labels_total{model="m",verdict="wrong"' in answer.read()
    # A kill leaves the bandit, with what it counted when it last moved.
    server.kill()
    server = start_server(scored)
    with ReleaseClient(server.grpc, timeout=30) as release:
        (after,) = release.show_routes("m")
        assert after["route"]["bandit"] == state["route"]["bandit"]
        arms = eventually(lambda: release.show_routes("m")[0].get("bandit", {}).get("arms"))
        assert arms[1]["right"] > 0
        assert after["route"]["entries"][1]["weight"] > 0.8
        with (
            RolloutClient(server.grpc, timeout=30) as rollouts,
            pytest.raises(FastserveError, match="the route of model 'm' is a bandit"),
        ):
            rollouts.start("m", {"baseline": 1, "candidate": 2})
    kept = fastserve(
        *("route", "set", "m", "--weight", "1=1", "--weight", "2=1", "--strategy", "bandit"),
        *("--max-share", "0.8", "--keep", "--json", "--endpoint", server.grpc),
    )
    bounds = {"min_share": 0.1, "max_share": 0.8, "interval_seconds": 1}
    assert json.loads(kept)["route"]["bandit"] == bounds
    changes = audit(server, "route.set")
    assert [entry["origin"] for entry in changes[:2]] == ["operator", "automatic"]


def test_results_of_an_ab_test_come_over_rpc_and_the_command_line(start_server, scored, fastserve):
    server = start_server(scored)
    with ReleaseClient(server.grpc, timeout=30) as release, Client(server.grpc) as client:
        with pytest.raises(FastserveError, match="results are those of a route of strategy ab"):
            release.route_results("m")
        entries = [{"version": 1, "weight": 1}, {"version": 2, "weight": 1}]
        ab = {"entries": entries, "strategy": "ab", "sticky": f"header:{USER}"}
        release.set_route("m", ab)
        began = release.route_results("m")
        assert began["generation"] == 1
        assert [arm["errors"]["count"] for arm in began["arms"]] == [0, 0]
        # Without the header callers are dealt by weight.
        asked = label(client, 40)

        def seen():
            found = release.route_results("m")
            labels = [arm["wrong_labels"]["count"] for arm in found["arms"]]
            return found if sum(labels) == 40 else None

        found = eventually(seen)
        assert (found["since"], found["confidence"]) == (began["since"], 0.95)
        first, second = found["arms"]
        for arm in (first, second):
            assert arm["errors"]["count"] == asked[str(arm["version"])]
            assert arm["errors"]["rate"] == 0
            assert [each["quantile"] for each in arm["latency"]] == [0.5, 0.95, 0.99]
            assert all(0 < each["seconds"] < SECONDS for each in arm["latency"])
        assert (first["wrong_labels"]["rate"], second["wrong_labels"]["rate"]) == (1, 0)
        # Too few seconds for an interval, and none to itself.
        assert "difference" not in first["errors"]
        assert "difference" not in second["errors"]
    out = fastserve("route", "results", "m", "--endpoint", server.grpc)
    assert out.startswith("m: ab, generation 1, since ")
    assert "VERSION  LABELS  WRONG      RATE  DIFFERENCE  INTERVAL" in out
    assert "100.000%" in out
    as_json = json.loads(fastserve("route", "results", "m", "--json", "--endpoint", server.grpc))
    assert as_json["arms"][0]["wrong_labels"]["rate"] == 1


def declare(repository, candidate, weight, model="m"):
    (repository / model / "model.toml").write_text(
        "[versions]\nall = true\n[routing]\nweights = { 1 = 1 }\n"
        f"[routing.rollout]\nbaseline = 1\ncandidate = {candidate}\n"
        f"steps = [{{ weight = {weight} }}]\n"
        "guards = { latency = { enabled = false }, outputs = { enabled = false } }\n"
    )


def started(server, model):
    """The model's rollout, once it has one."""

    def look():
        with RolloutClient(server.grpc, timeout=30) as rollouts:
            return [each for each in rollouts.status() if each["model"] == model]

    (found,) = eventually(look)
    return found


def test_rollout_of_model_toml_starts_once_and_no_restart_starts_it_again(
    start_server, repository, open_sides
):
    declare(repository, 2, 0.25)
    server = start_server(repository)
    release, _, _ = open_sides(server)
    running = started(server, "m")
    assert (running["baseline"], running["candidate"], running["state"]) == (1, 2, "running")
    assert (running["last"]["actor"], running["weight"]) == ("model.toml", 0.25)
    (state,) = release.show_routes("m")
    assert [entry["weight"] for entry in state["route"]["entries"]] == [0.75, 0.25]
    with RolloutClient(server.grpc, timeout=30) as rollouts:
        rollouts.rollback("m", reason="enough")
    server.kill()
    server = start_server(repository)
    _, _, operator = open_sides(server)
    # Another model's rollout starts after the server has looked at this one's.
    shutil.copytree(repository / "m", repository / "other")
    declare(repository, 2, 0.5, model="other")
    operator.load("other")
    assert started(server, "other")["state"] == "running"
    assert started(server, "m")["state"] == "rolled_back"
    assert {entry["origin"] for entry in audit(server, "rollout.running")} == {"automatic"}
    # Beside one that runs another is refused, aloud, and what runs goes on.
    declare(repository, 3, 0.5, model="other")
    operator.reload("other")
    refused = server.wait_for("rollout of model.toml refused", SECONDS)
    assert "has a rollout that is running" in refused["reason"]
    (entry,) = eventually(lambda: audit(server, "rollout.start"))
    assert (entry["actor"], entry["outcome"]) == ("model.toml", "refused")
    assert started(server, "other")["candidate"] == 2
