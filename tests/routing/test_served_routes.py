"""Routes of a real server: who answers what, what changes, and what a restart keeps."""

import json
import urllib.request
from collections import Counter

import grpc
import pytest

from fastserve._proto import fastserve_control_pb2 as control_pb, fastserve_release_pb2 as pb
from fastserve._proto.fastserve_control_pb2_grpc import ControlStub
from fastserve._proto.fastserve_release_pb2_grpc import ReleaseStub
from fastserve.errors import FastserveError

USER = "x-user"


def audit(operator_channel):
    stub = ControlStub(operator_channel)
    return [
        (entry["action"], entry["outcome"])
        for line in stub.ShowAudit(control_pb.ShowAuditRequest(), timeout=30)
        if (entry := json.loads(line.json))["action"].startswith("route.")
    ]


@pytest.fixture(params=["native", "grpcio"])
def server(request, start_server, repository):
    return start_server(repository, "--transport", request.param)


def test_weights_are_exact_over_ten_thousand_requests(
    start_server, repository, open_sides, weights_of
):
    release, caller, _ = open_sides(start_server(repository))
    release.set_route("m", weights_of(v1=70, v2=20, v3=10))
    counts = Counter(caller.versions(10_000))
    # Dealt, not drawn: each serving thread is off by a few requests at most.
    assert [counts[version] for version in (1, 2, 3)] == pytest.approx([7000, 2000, 1000], abs=20)
    (state,) = release.show_routes("m")
    assert state["requests"]["weight"] == 10_000


def test_answer_says_which_version_gave_it_and_why(server, open_sides, weights_of):
    release, caller, _ = open_sides(server)
    assert caller.ask() == (3, "")
    route = weights_of(v1=1, v2=0) | {
        "sticky": f"header:{USER}",
        "rules": [
            {"header": "x-tenant", "match": "equals", "value": "acme", "version": 2},
            {"header": "x-tenant", "match": "prefix", "value": "ac", "version": 3},
            {"header": "x-debug", "match": "present", "version": 2},
        ],
    }
    assert release.set_route("m", route)["generation"] == 1
    for headers, expected in (
        ((), (1, "weight;generation=1")),
        (((USER, "anna"),), (1, "sticky;generation=1")),
        ((("x-tenant", "acme"), (USER, "anna")), (2, "rule;generation=1")),
        ((("x-tenant", "acetone"),), (3, "rule;generation=1")),
        ((("x-tenant", "other"),), (1, "weight;generation=1")),
        ((("x-debug", "1"),), (2, "rule;generation=1")),
        ((("x-debug", ""),), (1, "weight;generation=1")),
    ):
        assert caller.ask(headers) == expected, headers


def test_pinned_versions_and_labels_bypass_the_route(server, open_sides, weights_of):
    release, caller, operator = open_sides(server)
    operator.control.SetLabel(
        control_pb.SetLabelRequest(model="m", label="stable", version=2), timeout=30
    )
    release.set_route("m", weights_of(v1=1))
    assert caller.ask(version="3") == (3, "")
    assert caller.ask(version="stable") == (2, "")
    assert caller.ask() == (1, "weight;generation=1")


@pytest.mark.parametrize("source", ["header", "parameter"])
def test_sticky_callers_stay_when_weights_move(server, open_sides, weights_of, source):
    release, caller, _ = open_sides(server)
    sticky = {"sticky": f"{source}:{USER}"}

    def ask(user):
        if source == "header":
            return caller.ask([(USER, user)])[0]
        return caller.ask(parameters={USER: user})[0]

    release.set_route("m", weights_of(v1=80, v2=20) | sticky)
    users = [f"user-{number}" for number in range(200)]
    before = {user: ask(user) for user in users}
    assert set(before.values()) == {1, 2}
    release.set_route("m", weights_of(v1=70, v2=30) | sticky)
    after = {user: ask(user) for user in users}
    # Version 2 only gained: who had it still has it.
    assert {user for user in users if before[user] == 2} <= {
        user for user in users if after[user] == 2
    }
    for user in users[:20]:
        assert after[user] == release.explain_route("m", key=user)["version"]


def test_numbers_are_sticky_keys_like_their_text(server, open_sides, weights_of):
    release, caller, _ = open_sides(server)
    release.set_route("m", weights_of(v1=1, v2=1) | {"sticky": "parameter:user"})
    for number in range(50):
        as_number = caller.ask(parameters={"user": number})
        assert as_number == caller.ask(parameters={"user": str(number)})
        assert as_number[1] == "sticky;generation=1"


def test_explanation_names_rule_slot_and_shares(start_server, repository, open_sides, weights_of):
    release, caller, _ = open_sides(start_server(repository))
    serving = release.explain_route("m")
    assert (serving["reason"], serving["version"]) == ("serving", 3)
    rule = {"header": "x-tenant", "match": "equals", "value": "acme", "version": 3}
    route = weights_of(v1=3, v2=1) | {"sticky": f"header:{USER}", "rules": [rule]}
    release.set_route("m", route)
    by_rule = release.explain_route("m", key="anna", headers={"X-Tenant": "acme"})
    assert (by_rule["reason"], by_rule["version"], by_rule["rule_place"]) == ("rule", 3, 1)
    assert by_rule["rule"] == rule
    by_key = release.explain_route("m", headers={"X-USER": "anna"})
    assert by_key == release.explain_route("m", key="anna")
    assert (by_key["reason"], by_key["key"]) == ("sticky", "anna")
    assert 0 <= by_key["slot"] < 65_536
    assert by_key["version"] == caller.ask([(USER, "anna")])[0]
    by_weight = release.explain_route("m")
    assert (by_weight["reason"], by_weight["version"]) == ("weight", 0)
    assert [share["weight_share"] for share in by_weight["shares"]] == [0.75, 0.25]
    assert by_weight["shares"][1]["key_share"] == pytest.approx(0.25, abs=0.01)
    # Asked, not counted.
    assert release.show_routes("m")[0]["requests"]["rule"] == 0


REFUSED = {
    "an unknown version": ({"entries": [{"version": 9, "weight": 1}]}, "version 9 of model 'm'"),
    "a rule to nowhere": (
        {
            "entries": [{"version": 1, "weight": 1}],
            "rules": [{"header": "x", "match": "equals", "value": "a", "version": 9}],
        },
        "version 9 of model 'm' is not found; it has 1, 2, 3, 4",
    ),
    "a fallback to nowhere": (
        {"entries": [{"version": 1, "weight": 1}], "fallback": 8},
        "version 8 of model 'm' is not found",
    ),
    "a shadow of nothing": (
        {"entries": [{"version": 1, "weight": 1}], "shadow": {"version": 7, "share": 0.5}},
        "version 7 of model 'm' is not found",
    ),
    "a version that is not ready": (
        {"entries": [{"version": 4, "weight": 1}]},
        "version 4 of model 'm' is failed, and a route names versions that answer: load it first",
    ),
    "a negative version": (
        {"entries": [{"version": -1, "weight": 1}]},
        "entries[0].version: expected `int` >= 1",
    ),
    "a negative weight": (
        {"entries": [{"version": 1, "weight": -1}]},
        "weights: version 1 has -1, expected a finite number of 0 or more",
    ),
    "a weight that is no number": (
        {"entries": [{"version": 1, "weight": float("nan")}]},
        "weights: version 1 has nan, expected a finite number of 0 or more",
    ),
    "no weight": ({"entries": [{"version": 1, "weight": 0}]}, "weights: all are 0"),
    "no entries": ({}, "weights: got 0 versions, expected 1 to 64"),
    "an unknown strategy": (
        {"entries": [{"version": 1, "weight": 1}], "strategy": "luck"},
        "strategy: invalid enum value 'luck'",
    ),
    "an unknown match": (
        {
            "entries": [{"version": 1, "weight": 1}],
            "rules": [{"header": "x", "match": "sounds", "value": "a", "version": 1}],
        },
        "rules[0].match: invalid enum value 'sounds'",
    ),
    "a bad sticky key": (
        {"entries": [{"version": 1, "weight": 1}], "sticky": "cookie:x"},
        "sticky: got 'cookie:x', expected header:NAME or parameter:NAME",
    ),
    "another model's route": (
        {"entries": [{"version": 1, "weight": 1}], "model": "other"},
        "model: the route is of 'other', the request of 'm'",
    ),
}


def test_bad_routes_are_refused_and_what_stands_goes_on(
    start_server, repository, open_sides, weights_of
):
    broken = repository / "m" / "4"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"this is no model")
    server = start_server(repository)
    release, caller, _ = open_sides(server)
    standing = release.set_route("m", weights_of(v1=1))
    for case, (route, message) in REFUSED.items():
        with pytest.raises(FastserveError) as caught:
            release.set_route("m", route)
        assert caught.value.code == 3, case
        assert message in caught.value.message, case
        assert release.show_routes("m") == [standing], case
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        ReleaseStub(channel).SetRoute(pb.SetRouteRequest(model="m"), timeout=30)
    assert refused.value.details() == "expected one of route, blue_green and back"
    with pytest.raises(FastserveError, match="had no route before"):
        release.back("m")
    with pytest.raises(FastserveError, match="unknown model"):
        release.set_route("nobody", weights_of(v1=1))
    assert caller.ask() == (1, "weight;generation=1")


def test_stale_generation_changes_nothing(start_server, repository, open_sides, weights_of):
    server = start_server(repository)
    release, caller, _ = open_sides(server)
    first = release.set_route("m", weights_of(v1=1), expected_generation=0)
    release.set_route("m", weights_of(v2=1), expected_generation=first["generation"])
    for change in (
        lambda: release.set_route("m", weights_of(v3=1), expected_generation=1),
        lambda: release.remove_route("m", expected_generation=1),
        lambda: release.back("m", expected_generation=1),
    ):
        with pytest.raises(FastserveError, match="at generation 2, expected 1") as caught:
            change()
        assert caught.value.code == 10
    assert caller.ask() == (2, "weight;generation=2")
    # A route that is gone is a change as well: its number does not come twice.
    assert release.remove_route("m")["generation"] == 3
    assert release.set_route("m", weights_of(v1=1))["generation"] == 4
    with grpc.insecure_channel(server.grpc) as channel:
        stub = ReleaseStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.RemoveRoute(pb.RemoveRouteRequest(model="m", expected_generation=3), timeout=30)
        assert refused.value.code() is grpc.StatusCode.ABORTED
        assert ("route.set", "refused") in audit(channel)
        assert ("route.back", "refused") in audit(channel)
        assert audit(channel).count(("route.set", "ok")) == 3


def test_weights_move_under_load_without_an_error(
    start_server, repository, open_sides, weights_of, steady_traffic
):
    server = start_server(repository)
    release, _, _ = open_sides(server)
    with steady_traffic(server) as traffic:
        for turn in range(100):
            release.set_route("m", weights_of(v1=100 - turn, v2=1 + turn, v3=turn))
            traffic.wait_for(5)
        release.remove_route("m")
        traffic.wait_for(5)
    assert traffic.problems == []


def test_changed_route_holds_for_the_next_request(start_server, repository, open_sides, weights_of):
    release, caller, _ = open_sides(start_server(repository))
    for turn in range(200):
        version = 1 + turn % 3
        release.set_route("m", weights_of(**{f"v{version}": 1}))
        assert caller.ask()[0] == version


def test_blue_green_switches_in_one_step_and_goes_back(server, open_sides):
    release, caller, _ = open_sides(server)
    release.set_blue_green("m", 2)
    assert caller.ask() == (2, "weight;generation=1")
    release.back("m")
    assert caller.ask() == (3, "weight;generation=2")
    release.back("m")
    assert caller.ask() == (2, "weight;generation=3")


def test_going_back_gives_the_route_before(start_server, repository, open_sides, weights_of):
    (repository / "m" / "model.toml").unlink()
    release, caller, operator = open_sides(start_server(repository))
    for version in (1, 2):
        operator.load(version=version, standby=True)
    release.set_route("m", weights_of(v1=1))
    release.set_route("m", weights_of(v2=1))
    assert caller.ask()[0] == 2
    assert release.back("m")["route"]["entries"] == [{"version": 1, "weight": 1.0}]
    assert caller.ask() == (1, "weight;generation=3")


def test_routed_version_stays_until_it_is_forced_out(
    start_server, repository, open_sides, weights_of
):
    release, caller, operator = open_sides(start_server(repository))
    release.set_route("m", weights_of(v1=1))
    with pytest.raises(grpc.RpcError) as refused:
        operator.unload(version=1)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "is named by the route of model 'm'" in refused.value.details()
    operator.unload(version=1, force=True)
    # The version that serves stands in, and the answer says so.
    assert caller.ask() == (3, "fallback;generation=1")
    (state,) = release.show_routes("m")
    assert set(state["not_ready"]) == {1}
    found = release.explain_route("m")
    assert (found["version"], found["fallback"]) == (0, 3)


def test_fallback_answers_for_a_version_that_cannot(
    start_server, repository, open_sides, weights_of
):
    release, caller, operator = open_sides(start_server(repository))
    release.set_route("m", weights_of(v1=1) | {"fallback": 2})
    operator.unload(version=1, force=True)
    assert caller.ask() == (2, "fallback;generation=1")


def test_swapped_version_keeps_its_route(
    start_server, repository, open_sides, weights_of, put_version
):
    release, caller, operator = open_sides(start_server(repository))
    release.set_route("m", weights_of(v1=1))
    put_version(1)
    operator.reload()
    assert caller.ask() == (1, "weight;generation=1")


def test_newer_version_takes_no_traffic_from_a_route(
    start_server, repository, open_sides, weights_of, put_version
):
    release, caller, operator = open_sides(start_server(repository))
    release.set_route("m", weights_of(v1=1))
    put_version(5)
    operator.reload()
    assert operator.states()[5] == "READY"
    assert caller.ask() == (1, "weight;generation=1")
    described = {version.number: version for version in operator.describe().versions}
    assert operator.serving() == [1]
    assert described[1].route_share == 1
    assert "newer than the route" in described[5].reason


def test_restart_keeps_routes_and_loads_what_they_name(
    start_server, repository, open_sides, weights_of
):
    # Only the newest is loaded, but for the route.
    (repository / "m" / "model.toml").unlink()
    server = start_server(repository)
    release, _, operator = open_sides(server)
    operator.load(version=1, standby=True)
    before = release.set_route("m", weights_of(v1=1) | {"sticky": f"header:{USER}"}, reason="why")
    server.kill()
    release, caller, operator = open_sides(start_server(repository))
    (after,) = release.show_routes("m")
    assert after["route"] == before["route"]
    assert after["reason"] == "why"
    assert operator.states()[1] == "READY"
    assert caller.ask([(USER, "anna")]) == (1, "sticky;generation=1")


def write_routing(repository, weights):
    text = "[versions]\nall = true\n" + (f"[routing]\nweights = {weights}\n" if weights else "")
    (repository / "m" / "model.toml").write_text(text)


def test_routing_of_model_toml_begins_and_counts_again_when_it_changes(
    start_server, repository, open_sides, weights_of
):
    write_routing(repository, "{ 1 = 1 }")
    server = start_server(repository)
    release, caller, operator = open_sides(server)
    assert caller.ask() == (1, "weight;generation=1")
    assert release.show_routes("m")[0]["source"] == "model.toml"
    # What an operator sets lies over it, also after a reload and a restart.
    release.set_route("m", weights_of(v2=1))
    operator.reload()
    assert caller.ask()[0] == 2
    server.stop()
    server = start_server(repository)
    release, caller, operator = open_sides(server)
    assert caller.ask() == (2, "weight;generation=2")
    assert release.show_routes("m")[0]["source"] == "call"
    # Until the file says something else.
    write_routing(repository, "{ 3 = 1 }")
    operator.reload()
    assert caller.ask() == (3, "weight;generation=3")
    write_routing(repository, "")
    operator.reload()
    assert caller.ask() == (3, "")
    assert release.show_routes("m")[0]["generation"] == 4


def test_metrics_tell_weights_reasons_and_generation(
    start_server, repository, open_sides, weights_of
):
    server = start_server(repository)
    release, caller, _ = open_sides(server)
    release.set_route("m", weights_of(v1=3, v2=1))
    caller.versions(40)
    release.set_route("m", weights_of(v1=1))
    caller.versions(2)
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    assert 'fastserve_route_generation{model="m"} 2.0' in lines
    assert 'fastserve_route_weight{model="m",version="1"} 1.0' in lines
    # Over both generations.
    assert 'fastserve_route_requests_total{model="m",reason="weight"} 42.0' in lines
