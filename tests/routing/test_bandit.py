"""Shares follow reward, within bounds, at most once an interval; A/B results are figures alone."""

import msgspec
import numpy as np
import pytest
from arms import BOUNDS, Arms, Clock, Routes

from fastserve.errors import InvalidRoute, StaleRouteTable
from fastserve.route_spec import Bandit, Entry
from fastserve.routing.bandit import BanditController
from fastserve.routing.evidence import ArmCounters
from fastserve.routing.experiment import Experiment
from fastserve.routing.experiments import Experiments
from fastserve.routing.reward import Reward, RewardStore
from fastserve.routing.route import Route
from fastserve.routing.route_keeper import Weights
from fastserve.routing.thompson import bounded_shares, shares_of

BANDIT = Bandit(min_share=0.1, max_share=0.9, interval_seconds=60)


def bandit_route(*weights, **bounds):
    """Of versions 1, 2, ..., as declared."""
    entries = tuple(Entry(version, weight) for version, weight in enumerate(weights, 1))
    bandit = Bandit(**bounds) if bounds else BANDIT
    return Route(model="m", strategy="bandit", entries=entries, bandit=bandit, generation=1)


class World:
    def __init__(self, folder):
        self.clock, self.routes, self.arms, self.problems = Clock(), Routes(), Arms(), []
        self.routes.found["m"] = Weights(1, {1: 0.8, 2: 0.2}, is_bandit=True)
        self.store = RewardStore(folder, self.problems.append)
        self.again()

    def again(self):
        route = msgspec.structs.replace(
            bandit_route(0.8, 0.2), generation=self.routes.weights("m").generation
        )
        self.controller = BanditController(
            route, self.store.read("m"), routes=self.routes, source=self.arms, store=self.store,
            monotonic=self.clock.monotonic, seed=1, on_problem=self.problems.append,
        )  # fmt: skip

    async def pass_seconds(self, seconds, **right):
        """Each with ten labels of each version."""
        for _ in range(seconds):
            self.clock.now += 1
            for version, count in ((1, right.get("one", 5)), (2, right.get("two", 5))):
                if count is None:
                    continue
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


async def test_declared_shares_stand_until_every_version_has_a_label(world):
    await world.pass_seconds(200, one=9, two=None)
    assert world.routes.calls == []
    (awaited,) = [line for line in world.controller.status.awaited if "label" in line]
    assert awaited.startswith("a label of version 2")
    await world.pass_seconds(60, one=9, two=9)
    assert len(world.routes.calls) == 1


async def test_counts_outlive_a_restart_and_a_reload(world):
    await world.pass_seconds(61, two=8)
    before = world.controller.rewards[2]
    world.again()
    assert world.controller.rewards[2].right >= before.right - 8
    world.arms.counts[2] = ArmCounters(durations=(0,) * 21)
    await world.pass_seconds(10, two=8)
    assert world.controller.rewards[2].right >= before.right


async def test_route_of_another_generation_is_left_alone(world):
    world.routes.change()
    await world.pass_seconds(130, two=9)
    assert world.routes.weights("m").shares == {1: 0.8, 2: 0.2}
    assert world.problems == []


async def test_race_and_refusal_leave_the_route(world):
    world.routes.refusal = StaleRouteTable("raced")
    await world.pass_seconds(61, two=9)
    assert world.problems == []
    world.routes.refusal = InvalidRoute("version 2 of model 'm' is failed")
    await world.pass_seconds(60, two=9)
    assert world.problems == ["the route of model 'm' stays: version 2 of model 'm' is failed"]
    world.routes.refusal = None
    await world.pass_seconds(60, two=9)
    assert len(world.routes.calls) == 1


async def test_counts_that_cannot_be_written_are_reported_and_the_bandit_goes_on(world, tmp_path):
    (tmp_path / "bandits").write_text("in the way")
    await world.pass_seconds(61, two=9)
    assert "labels of model 'm' cannot be kept" in world.problems[0]
    assert len(world.routes.calls) == 1


def test_nothing_known_is_even_and_a_best_arm_is_found():
    bandit = Bandit(min_share=0.02)
    even = shares_of(bandit, {1: Reward(), 2: Reward(), 3: Reward()}, [2])
    assert even == pytest.approx({1: 1 / 3, 2: 1 / 3, 3: 1 / 3}, abs=0.02)
    rewards = {1: Reward(800, 200), 2: Reward(900, 100), 3: Reward()}
    found = shares_of(bandit, rewards, [2])
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
    ("weights", "bounds", "problem"),
    [
        ((1,), {}, "strategy: bandit needs 2 to 16 versions, got 1"),
        ((1,) * 17, {}, "strategy: bandit needs 2 to 16 versions, got 17"),
        ((1, 1), {"min_share": 0.6}, "bandit.min_share: 0.6 for each of 2 is more than all"),
        ((1, 1), {"max_share": 0.4}, "bandit.max_share: 0.4 for each of 2 is less than all"),
        ((1, 1), {"min_share": float("nan")}, "bandit.min_share: got nan, expected above 0"),
        ((1, 1), {"min_share": 0.0}, "bandit.min_share: got 0, expected above 0 and below 1"),
        ((1, 1), {"max_share": 1.5}, "bandit.max_share: got 1.5, expected above 0 and at most 1"),
        ((1, 1), {"interval_seconds": 0.5}, "bandit.interval_seconds: got 0.5, expected 1 to"),
        ((98, 2), {}, "weights: version 1 begins with 0.98 of the requests, expected 0.1 to 0.9"),
        ((1, 0), {"max_share": 1.0}, "weights: version 2 begins with 0 of the requests"),
    ],
)
def test_bandit_that_makes_no_sense_is_refused(weights, bounds, problem):
    with pytest.raises(InvalidRoute) as refused:
        bandit_route(*weights, **bounds)
    assert refused.value.message.startswith(problem)


def test_bounds_without_a_bandit_are_refused():
    with pytest.raises(InvalidRoute, match="bandit: goes with strategy bandit, got weights"):
        Route(model="m", entries=(Entry(1, 1.0),), bandit=Bandit())


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


def test_experiment_begins_anew_with_each_change_of_its_route():
    arms, clock, routes = Arms(), Clock(), {}
    experiments = Experiments(lambda: routes, arms, bounds=BOUNDS, time=clock.time)
    ab = Route(model="m", strategy="ab", entries=(Entry(1, 1.0), Entry(2, 1.0)),
               sticky="header:x-user", generation=3)  # fmt: skip
    for route, got in ((None, "which has none"), (bandit_route(1, 1), "got bandit")):
        routes.update({} if route is None else {"m": route})
        experiments.look()
        with pytest.raises(InvalidRoute, match=got):
            experiments.find("m")
    routes["m"] = ab
    began = experiments.find("m")
    clock.now += 10
    arms.serve(2, 7)
    experiments.look()
    assert experiments.find("m") is began
    assert (began.generation, began.since) == (3, clock.time() - 10)
    assert [each.errors.count for each in began.experiment.results()] == [0, 7]
    routes["m"] = msgspec.structs.replace(ab, generation=4)
    assert experiments.find("m").since == clock.time()
    assert experiments.find("m").experiment.results()[1].errors.count == 0
