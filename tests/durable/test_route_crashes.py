"""Routes whose writer is killed, or whose disk fails: the last acknowledged one stands."""

import errno
import os
import random
import signal
import sys

import pytest

from fastserve.routing.route_store import RouteStore

EXIT, TEAR = -1, -2
KILLS = 15
# One case never makes more changes than this; the loop over them ends by itself.
MOST_CALLS = 300


def words(outcome, key):
    return [word for word in outcome["said"] if isinstance(word, dict) and key in word]


def standing(folder):
    """(generation, weight of the first entry) as a server finds it; nothing is passed over."""
    problems = []
    kept = RouteStore(folder, problems.append).get("m")
    assert problems == []
    if kept.route is not None:
        assert kept.route.generation == kept.generation
    return kept.generation, 0 if kept.route is None else kept.route.entries[0].weight


def assert_last_stands(folder, acknowledged):
    """What was acknowledged last, or the change after it that nobody was told of."""
    generation, weight = standing(folder)
    last = acknowledged[-1] if acknowledged else {"generation": 0, "weight": 0}
    assert generation in {last["generation"], last["generation"] + 1}
    if generation == last["generation"]:
        assert weight == last["weight"]
    else:
        # It was on its way: whole, with its own weight.
        assert weight in {0, generation}


@pytest.mark.parametrize("action", [EXIT, TEAR, errno.ENOSPC], ids=str)
def test_route_is_the_last_acknowledged_after_each_call(nursery, memory_path, action):
    for call in range(1, MOST_CALLS):
        folder = memory_path / str(call)
        folder.mkdir()
        outcome = nursery.run("routes", folder, action=action, first=call, last=call)
        assert_last_stands(folder, words(outcome, "generation"))
        if any(word["calls"] < call for word in words(outcome, "calls")):
            assert standing(folder) == (6, 0)
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")


def test_route_is_the_last_acknowledged_when_killed_at_random_times(nursery, tmp_path):
    seed = int(os.environ.get("FASTSERVE_TEST_SEED", random.randrange(1 << 32)))
    sys.stdout.write(f"again with FASTSERVE_TEST_SEED={seed}\n")
    chance = random.Random(seed)
    acknowledged = []
    for kill in range(KILLS):
        # In words, not in time: a slow disk makes the test slow and not empty.
        kill_after_words = [0, 1, 2, 8][kill % 4]
        outcome = nursery.run(
            "routes", tmp_path, kill_seconds=chance.uniform(0, 0.05), appends=100_000,
            kill_after_words=kill_after_words,
        )  # fmt: skip
        assert outcome["status"] == signal.SIGKILL, outcome
        acknowledged += words(outcome, "generation")
        assert_last_stands(tmp_path, acknowledged)
    assert len(acknowledged) >= KILLS
