"""`fastserve rollout`: what it sends, and what it draws."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "rpc"))  # test folders are not packages

from rollout_server import RolloutServer

DECLARED = """
[routing.rollout]
baseline = 1
candidate = 2
steps = [{ weight = 0.1, min_requests = 10 }, { weight = 0.5, min_requests = 10, gate = true }]
[routing.rollout.guards]
latency = { enabled = false }
outputs = { enabled = false }
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    with RolloutServer(tmp_path).running() as server:
        monkeypatch.setenv("FASTSERVE_ENDPOINT", server.address)
        monkeypatch.setenv("FASTSERVE_ACTOR", "anna")
        yield server


@pytest.fixture
def declared(tmp_path):
    path = tmp_path / "rollout.toml"
    path.write_text(DECLARED)
    return path


def lines(outcome):
    assert outcome.code == 0, outcome.err
    return [" ".join(line.split()) for line in outcome.out.splitlines()]


def test_status_draws_steps_guards_and_what_is_awaited(server, declared, fastserve):
    lines(fastserve("rollout", "start", "m", "--file", declared, "--reason", "release 7"))
    server.pass_seconds(30)
    shown = lines(fastserve("rollout", "status", "m"))
    assert shown[0] == "m: version 1 -> 2, running, 10.0% to the candidate"
    assert shown[1].endswith("by anonymous (anna): release 7")
    assert "1 0.1 ██░░░░░░░░░░░░░░░░░░ 1,450 of 10 29 of 60 now" in shown
    assert "2 0.5 ██████████░░░░░░░░░░ 10 60 yes" in shown
    (guard,) = [line for line in shown if line.startswith("errors")]
    assert guard.startswith("errors pass 0 -0.002141 to 0.002141 0.005 1,450 / 13,050")
    assert guard.endswith("errors: 0.000% against 0.000%, may be 0.500% more")
    assert "31 more seconds" in shown
    server.pass_seconds(400)
    assert "your word: fastserve rollout resume, promote or rollback" in lines(
        fastserve("rollout", "status")
    )


def test_orders_and_history_are_shown(server, declared, fastserve):
    lines(fastserve("rollout", "start", "m", "--file", declared))
    assert "paused" in lines(fastserve("rollout", "pause", "m", "--reason", "lunch"))[0]
    assert "running" in lines(fastserve("rollout", "resume", "m"))[0]
    assert "promoted, 100.0%" in lines(fastserve("rollout", "promote", "m"))[0]
    history = lines(fastserve("rollout", "history", "m"))
    assert len(history) == 5
    assert history[2].endswith("1 1 -> 2 running -> paused 1 0.1 anonymous (anna) lunch")
    outcome = fastserve("rollout", "rollback", "m")
    assert outcome.code == 1
    assert "cannot roll back a rollout that is promoted" in outcome.err


def test_rollback_shows_the_evidence_and_watch_ends_with_failure(server, declared, fastserve):
    lines(fastserve("rollout", "start", "m", "--file", declared))
    server.pass_seconds(60, failed=5)
    shown = lines(fastserve("rollout", "status", "m"))
    assert "rolled back, 0.0% to the candidate" in shown[0]
    assert any(line.startswith("errors FAIL 0.1") for line in shown)
    assert fastserve("rollout", "status", "m", "--watch").code == 1


def test_options_go_before_the_file(server, declared, fastserve):
    outcome = fastserve(
        "rollout", "start", "m", "--file", declared, "--steps", "5%,0.2",
        "--min-requests", "77", "--manual", "--dry-run", "--json",
    )  # fmt: skip
    found = json.loads(outcome.out)
    assert [step["weight"] for step in found["steps"]] == [0.05, 0.2]
    assert {step["min_requests"] for step in found["steps"]} == {77}
    assert found["dry_run"]
    assert server.world.routes.calls == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--candidate", "2"], "give --baseline, or --file"),
        (["--baseline", "1", "--candidate", "2", "--steps", "five"], "expected weights as"),
        (["--baseline", "1", "--candidate", "2", "--steps", "5%,nan%"], "expected weights as"),
        (["--baseline", "1", "--candidate", "2", "--min-seconds", "nan"], "is not a finite number"),
        (["--baseline", "1", "--candidate", "2", "--min-requests", "5"], "go with --steps"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(fastserve, arguments, problem):
    outcome = fastserve("rollout", "start", "m", *arguments)
    assert outcome.code == 2
    assert problem in outcome.err


def test_file_that_is_no_toml_is_named(tmp_path, fastserve):
    path = tmp_path / "x.toml"
    path.write_text("= 1")
    outcome = fastserve("rollout", "start", "m", "--file", path)
    assert (outcome.code, "not TOML" in outcome.err) == (2, True)


def test_no_rollout_is_said(server, fastserve):
    assert lines(fastserve("rollout", "status")) == ["no model has had a rollout"]
