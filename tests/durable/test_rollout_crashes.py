"""Rollouts that are killed, or whose disk fails, at every call: what was acknowledged stands."""

import asyncio
import errno
import os
import random
import signal
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "routing"))  # test folders are not packages

from arms import DurableRoutes, World

from fastserve.routing.rollout_state import JUDGED

# A soak meets every call; otherwise every fourth one, beginning with another at each run.
IS_SOAK = os.environ.get("FASTSERVE_SOAK", "0") not in {"", "0"}
SEED = int(os.environ.get("FASTSERVE_TEST_SEED", random.randrange(1 << 32)))
STRIDE = 1 if IS_SOAK else 4
EXIT, TEAR = -1, -2
MOST_CALLS = 400


def calls():
    sys.stdout.write(f"again with FASTSERVE_TEST_SEED={SEED}\n")
    return range(1 + SEED % STRIDE, MOST_CALLS, STRIDE)


def words(outcome, key):
    return [word for word in outcome["said"] if key in word]


def found_in(folder, *, is_disk_sound=True):
    """The world as the next server finds it, after its first look: route and rollout agree.

    Of a write that failed nobody knows whether it is on the disk; then a rollout that goes on has
    its route, and one that has ended or paused leaves the route to people.
    """
    world = World(folder, DurableRoutes(folder))
    asyncio.run(world.controller.tick())
    assert world.problems == []
    if not world.controller.status():
        return None
    record = world.record
    assert not record.is_pending
    if not is_disk_sound and record.state not in JUDGED:
        return world
    now = world.routes.weights("m")
    assert now.generation == record.generation
    assert now.says(record.weights)
    return world


def assert_stands(folder, outcome):
    """The last move that was told, or the next one, which may be durable and not yet told."""
    told = max((word["moves"] for word in words(outcome, "moves")), default=0)
    world = found_in(folder)
    if world is None:
        assert told == 0
        return
    assert told <= len(world.record.history) <= told + 1
    if len(world.record.history) == told:
        assert world.state == words(outcome, "state")[-1]["state"]


@pytest.mark.parametrize("action", [EXIT, TEAR], ids=["before", "within"])
def test_rollout_is_where_it_was_when_killed_at_each_call(nursery, memory_path, action):
    for call in calls():
        folder = memory_path / str(call)
        folder.mkdir()
        outcome = nursery.run("rollouts", folder, action=action, first=call, last=call, appends=1)
        assert_stands(folder, outcome)
        if words(outcome, "problems"):
            assert len(words(outcome, "moves")) == 4
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")


def test_rollout_is_where_it_was_when_killed_at_random_times(nursery, tmp_path):
    for n in range(20):
        outcome = nursery.run(
            "rollouts",
            tmp_path,
            kill_seconds=0.003 * (n % 7),
            kill_after_words=[0, 1, 2, 8][n % 4],
            appends=100_000,
        )
        assert outcome["status"] == signal.SIGKILL, outcome
        world = found_in(tmp_path)
        told = words(outcome, "moves")
        if told and told[-1]["moves"] < 100:
            assert len(world.record.history) - told[-1]["moves"] in {0, 1}


def test_rollout_that_goes_on_has_its_route_after_each_call_that_failed(nursery, memory_path):
    for call in calls():
        folder = memory_path / str(call)
        folder.mkdir()
        outcome = nursery.run(
            "rollouts", folder, action=errno.EIO, first=call, last=call, appends=1
        )
        if words(outcome, "error"):
            continue  # refused at the start
        found_in(folder, is_disk_sound=False)
        if any(word["calls"] < call for word in words(outcome, "calls")):
            assert len(words(outcome, "moves")) == 4
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")
