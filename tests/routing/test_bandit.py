"""Shares follow reward, within bounds, at most once an interval; A/B results are figures alone."""

import msgspec
import numpy as np
import pytest
from arms import BOUNDS, Arms, Clock, Routes

from fastserve.errors import InvalidConfig, InvalidRoute
from fastserve.rollout_spec import read_group
from fastserve.routing.bandit import Bandit, BanditController, Reward, bounded_shares, shares_of
from fastserve.routing.evidence import ArmCounters
from fastserve.routing.experiment import Experiment
from fastserve.routing.route_keeper import Weights

BANDIT = Bandit(versions=(1, 2), min_share=0.1, max_share=0.9, interval_seconds=60)


class World:
    def __init__(self, folder):
        self.clock, self.routes, self.arms, self.problems = Clock(), Routes(), Arms(), []
        self.folder = folder
        self.again()

    def again(self):
        self.controller = BanditController(
            "m", BANDIT, self.routes, self.arms, state_folder=self.folder,
            monotonic=self.clock.monotonic, seed=1, on_problem=self.problems.append,
        )  # fmt: skip

    async def pass_seconds(self, seconds, **right):
        """Each with ten labels of each version."""
        for _ in range(seconds):
            self.clock.now += 1
            for version, count in ((1, right.get("one", 5)), (2, right.get("two", 5))):
                before = self.arms.counts[version]
                self.arms.counts[version] = msgspec.structs.replace(
                    before,
                    right_labels=before.right_labels + count,
                    wrong_labels=before.wrong_labels + 10 - count,
                )
            await self.controller.tick()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_share_goes_to_the_arm_whose_answers_are_right(world):
    await world.pass_seconds(70, one=5, two=8)
    assert world.routes.weights("m").shares == pytest.approx({1: 0.1, 2: 0.9})
    (_, actor, reason) = world.routes.calls[-1]
    assert actor == "bandit"
    assert "2: 472 right, 118 wrong" in reason


async def test_route_moves_at_most_once_an_interval(world):
    await world.pass_seconds(59, two=9)
    assert world.routes.calls == []
    await world.pass_seconds(300, one=9, two=1)
    assert 1 <= len(world.routes.calls) <= 6


async def test_counts_outlive_a_restart_and_a_reload(world):
    await world.pass_seconds(61, two=8)
    before = world.controller.rewards[2]
    world.again()
    assert world.controller.rewards[2].right >= before.right - 8
    world.arms.counts[2] = ArmCounters(durations=(0,) * 21)
    await world.pass_seconds(10, two=8)
    assert world.controller.rewards[2].right >= before.right


async def test_race_is_left_to_the_next_interval(world):
    async def race(model, shares, **words):
        world.routes.set_weights = keep
        world.routes.found["m"] = Weights(1, {1: 1.0})
        return await keep(model, shares, **words)

    keep, world.routes.set_weights = world.routes.set_weights, race
    await world.pass_seconds(60, two=9)
    assert world.routes.weights("m") == Weights(1, {1: 1.0})
    await world.pass_seconds(60, two=9)
    assert world.routes.weights("m").generation == 2
    assert world.problems == []


def test_nothing_known_is_even_and_a_best_arm_is_found():
    chance = np.random.default_rng(2)
    bandit = Bandit(versions=(1, 2, 3), min_share=0.02)
    even = shares_of(bandit, {}, chance)
    assert even == pytest.approx({1: 1 / 3, 2: 1 / 3, 3: 1 / 3}, abs=0.02)
    found = shares_of(bandit, {2: Reward(900, 100), 1: Reward(800, 200)}, chance)
    assert found[1] == pytest.approx(0.02, abs=0.01)
    assert found[2] > 0.7
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shares", "least", "most"),
    [([1, 0], 0.1, 0.9), ([0.5, 0.3, 0.2], 0.3, 0.5), ([1, 0, 0, 0], 0.25, 1), ([0, 0, 1], 0, 0.4)],
)
def test_bounded_shares_keep_their_bounds_and_sum_to_one(shares, least, most):
    found = bounded_shares(shares, least, most)
    assert sum(found) == pytest.approx(1)
    assert all(least - 1e-9 <= share <= most + 1e-9 for share in found)
    assert np.all(np.diff(np.array(found)[np.argsort(shares)]) >= -1e-9)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"versions": [1]}, "length >= 2"),
        ({"versions": [1, 1]}, "names one twice"),
        ({"versions": [1, 2], "min_share": 0.6}, "is more than all"),
        ({"versions": [1, 2], "max_share": 0.4}, "is less than all"),
        ({"versions": [1, 2], "min_share": float("nan")}, "finite"),
        ({"versions": [1, 2], "reward": 1}, "unknown field"),
    ],
)
def test_bandit_that_makes_no_sense_is_refused(fields, problem):
    with pytest.raises(InvalidConfig, match=problem):
        read_group(fields, Bandit, name="routing.bandit")


def test_experiment_tells_figures_and_intervals_to_the_first_arm():
    arms = Arms()
    experiment = Experiment(arms, "m", (1, 2), BOUNDS)
    experiment.look()
    for _ in range(60):
        arms.serve(1, 99, 1)
        arms.serve(2, 95, 5)
        experiment.look()
    first, second = experiment.results()
    assert (first.errors.rate, first.errors.difference) == (0.01, None)
    assert second.errors.rate == 0.05
    assert second.errors.difference.lower > 0
    assert second.errors.difference.difference == pytest.approx(0.04)
    assert second.wrong_labels.rate is None
    assert second.latency[0.5] == pytest.approx(0.0003, rel=0.5)


def test_experiment_needs_different_arms():
    with pytest.raises(InvalidRoute, match="expected different versions"):
        Experiment(Arms(), "m", (1, 1), BOUNDS)
