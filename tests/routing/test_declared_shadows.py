"""Shadows that a route declares, against a real server: they come, change and go with the route."""

import time

import pytest
from classifiers import ROWS, write_versions

from fastserve.client import Client, ControlClient, ReleaseClient, RolloutClient, ShadowClient
from tests.conftest import ServerProcess

SECONDS = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One server for all tests that leave its versions as they were."""
    server = ServerProcess(write_versions(tmp_path_factory.mktemp("models")))
    yield server
    server.stop()


@pytest.fixture
def server(running):
    """It has a plain route, and no shadow runs."""
    set_route(running)
    if (found := report(running)) is not None and found["is_running"]:
        with ShadowClient(running.grpc) as client:
            client.stop("m")
    return running


def route(shadow=None, weights=((1, 1.0),)):
    entries = [{"version": version, "weight": weight} for version, weight in weights]
    return {"entries": entries} | ({} if shadow is None else {"shadow": shadow})


def set_route(server, *arguments, **fields):
    with ReleaseClient(server.grpc) as client:
        client.set_route("m", route(*arguments, **fields))


def infer(server):
    with Client(server.grpc) as client:
        return client.infer("m", {"x": ROWS})["scores"]


def report(server):
    with ShadowClient(server.grpc) as client:
        found = client.report()
    return found[0] if found else None


def shadow_guard(rollout):
    guards = rollout.get("judgement", {}).get("guards", ())
    return next((guard for guard in guards if guard["name"] == "shadow"), {})


def once(server, is_so):
    """The report once it is so."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = report(server)
        if found is not None and is_so(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)  # the server tells nobody


def test_shadow_comes_changes_and_goes_with_the_route(server):
    set_route(server, {"version": 3, "share": 1.0})
    once(server, lambda found: found["is_running"])
    before = infer(server)
    found = once(server, lambda found: found["compared"] == len(ROWS))
    assert (found["version"], found["candidate"], found["share"]) == (1, 3, 1.0)
    assert found["differing"] > 0
    assert infer(server).tobytes() == before.tobytes()

    set_route(server, {"version": 2, "share": 0.5})
    found = once(server, lambda found: found["candidate"] == 2 and found["is_running"])
    assert found["share"] == 0.5
    set_route(server)
    found = once(server, lambda found: not found["is_running"])
    assert found["ended"] == "the route no longer names it"


def test_shadow_comes_back_after_a_kill_and_a_reload(start_server, tmp_path):
    repository = write_versions(tmp_path / "models")
    server = start_server(repository, "--state-dir", tmp_path / "state")
    set_route(server, {"version": 2, "share": 1.0})
    once(server, lambda found: found["is_running"])
    server.kill()
    server = start_server(repository, "--state-dir", tmp_path / "state")
    once(server, lambda found: found["is_running"])
    with ControlClient(server.grpc, timeout=60) as control:
        control.unload_model("m", version=2, force=True)
        found = once(server, lambda found: not found["is_running"])
        assert "version 2" in found["ended"]
        for _ in control.load_model("m", version=2, standby=True):
            pass
    once(server, lambda found: found["is_running"])


def test_word_of_a_person_goes_before_the_route(server):
    set_route(server, {"version": 2, "share": 1.0})
    once(server, lambda found: found["is_running"])
    with ShadowClient(server.grpc) as client, ControlClient(server.grpc) as control:
        client.stop("m", reason="enough")
        # What is served is looked at again.
        control.set_label("m", "candidate", 2)
        assert not report(server)["is_running"]
        client.start("m", 3, version=1)
    set_route(server, {"version": 2, "share": 0.5})
    infer(server)
    assert report(server)["candidate"] == 3


def test_rollout_is_judged_by_the_shadow_of_its_route(server):
    set_route(server, {"version": 3, "share": 1.0})
    once(server, lambda found: found["is_running"])
    with RolloutClient(server.grpc) as client:
        client.start(
            "m",
            {
                "baseline": 1,
                "candidate": 3,
                "steps": [{"weight": 0.2, "min_requests": 10, "min_seconds": 1}],
                "guards": {
                    "shadow": {"enabled": True, "max_mismatches": 0.05},
                    "latency": {"enabled": False},
                    "outputs": {"enabled": False},
                },
            },
        )
        deadline = time.monotonic() + SECONDS
        while not (shadow := shadow_guard(client.status("m")[0])).get("candidate_requests"):
            assert time.monotonic() < deadline, shadow
            infer(server)
        client.rollback("m")
    assert shadow["value"] > 0


def test_candidate_that_is_promoted_is_no_shadow_any_more(server):
    set_route(server, {"version": 2, "share": 1.0}, weights=((1, 0.9), (2, 0.1)))
    once(server, lambda found: found["is_running"])
    with RolloutClient(server.grpc) as client:
        client.start("m", {"baseline": 1, "candidate": 2, "steps": [{"weight": 0.2}]})
        client.promote("m")
    once(server, lambda found: not found["is_running"])
    with ReleaseClient(server.grpc) as client:
        (state,) = client.show_routes("m")
    assert not state["route"].get("shadow")


def test_shadow_that_cannot_run_is_said_in_the_log(server):
    set_route(server, {"version": 4, "share": 1.0})
    problem = server.first("state", SECONDS)["problem"]
    assert problem.startswith("the shadow in the route of model 'm': ")
    assert "output 'scores' FP32[-1,4]" in problem
