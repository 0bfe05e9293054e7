"""Rollouts move the weights of real routes and leave the rest of them alone."""

import errno
import os

import pytest
from arms import World, rollout

from fastserve.errors import InvalidRoute, NotKept, RolloutConflict, StaleRouteTable
from fastserve.model_config import RoutingConfig
from fastserve.route_spec import Bandit, Entry
from fastserve.routing.rollout_controller import JUDGE
from fastserve.routing.route import Route
from fastserve.routing.route_store import RouteStore
from fastserve.routing.routed_weights import RoutedWeights
from fastserve.routing.router import Author, Router


class Models:
    version_states = staticmethod(lambda _model: {1: "ready", 2: "ready", 3: "failed"})
    serving = staticmethod(lambda _model: 1)
    follow_route = staticmethod(lambda _model: None)


@pytest.fixture
def router(tmp_path):
    problems = []
    router = Router(RouteStore(tmp_path, problems.append))
    router.bind(Models())
    yield router
    assert problems == []


@pytest.fixture
def changes(router):
    found = []

    async def note(change):
        found.append(change)

    router.on_change(note)
    return found


async def test_rollout_moves_weights_and_keeps_sticky_key_and_seed(router, changes, tmp_path):
    before = Route(model="m", strategy="blue_green", entries=(Entry(1, 1.0), Entry(2, 0.0)),
                   sticky="header:x-user", seed=7)  # fmt: skip
    await router.set("m", before, actor=Author("anna"))
    world = World(tmp_path, RoutedWeights(router, frozenset({JUDGE})))
    await world.start(rollout(0.1, 0.5))
    assert router.shares("m") == pytest.approx({1: 0.9, 2: 0.1})
    await world.pass_seconds(60, failed=25)
    assert world.state == "rolled_back"
    route = router.route("m")
    assert (route.sticky, route.seed, route.strategy) == ("header:x-user", 7, "weights")
    assert router.shares("m") == {1: 1.0, 2: 0.0}
    assert [(change.author.name, change.author.origin) for change in changes[1:]] == [
        ("anna", "operator"), ("judge", "automatic"),
    ]  # fmt: skip
    assert changes[-1].reason.startswith("rollout 1: errors: ")


async def test_rollback_holds_though_the_disk_is_full(tmp_path, monkeypatch):
    problems = []
    router = Router(RouteStore(tmp_path, problems.append))
    router.bind(Models())
    world = World(tmp_path, RoutedWeights(router, frozenset({JUDGE})))
    await world.start(rollout(0.1, 0.5))

    def full(*_words):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("fastserve.routing.route_store.write_state", full)
        with pytest.raises(NotKept, match="No space left"):
            await router.set("m", router.route("m"), actor=Author("anna"))
        await world.pass_seconds(60, failed=25)
        assert (world.state, router.shares("m")) == ("rolled_back", {1: 1.0, 2: 0.0})
        (problem,) = problems
        assert problem.startswith("a restart would not know the last routes: routes.state cannot")
    await router.close()
    assert RouteStore(tmp_path, problems.append).get("m").route == router.route("m")


async def test_route_that_was_removed_once_still_counts_generations(router, tmp_path):
    await router.set("m", Route(model="m", entries=(Entry(1, 1.0),)), actor=Author("anna"))
    await router.remove("m", actor=Author("anna"))
    world = World(tmp_path, RoutedWeights(router, frozenset()))
    await world.start(rollout(0.1))
    assert world.record.generation == 3
    await router.set("m", Route(model="m", entries=(Entry(1, 1.0),)), actor=Author("bert"))
    await world.pass_seconds(1)
    assert world.state == "paused"


async def test_races_and_versions_that_cannot_answer_are_refused(router):
    keeper = RoutedWeights(router, frozenset())
    assert keeper.weights("m").shares == {}
    words = {"actor": "a", "reason": ""}
    with pytest.raises(StaleRouteTable):
        await keeper.set_weights("m", {1: 1.0}, expected_generation=4, **words)
    with pytest.raises(InvalidRoute, match="version 3 of model 'm' is failed"):
        await keeper.set_weights("m", {3: 1.0}, expected_generation=0, **words)


async def test_rollout_of_a_bandit_is_refused_until_somebody_says_otherwise(router, tmp_path):
    bandit = Route(model="m", strategy="bandit", entries=(Entry(1, 1.0), Entry(2, 1.0)),
                   bandit=Bandit(min_share=0.2))  # fmt: skip
    await router.set("m", bandit, actor=Author("anna"))
    world = World(tmp_path, RoutedWeights(router, frozenset()))
    with pytest.raises(RolloutConflict, match="the route of model 'm' is a bandit"):
        await world.start(rollout(0.1))
    await router.remove("m", actor=Author("anna"))
    await world.start(rollout(0.1))
    # As model.toml can while a rollout runs, and a call can not.
    await router.set("m", bandit, actor=Author("model.toml"))
    await world.pass_seconds(1)
    assert world.state == "paused"
    await world.controller.promote("m", actor="anna")
    assert (router.route("m").strategy, router.route("m").bandit) == ("weights", None)


async def test_rollout_of_model_toml_is_told_and_another_one_leaves_the_route(router):
    router.configure("m", RoutingConfig(weights={"1": 1.0}, rollout=rollout(0.1)))
    await router.set("m", Route(model="m", entries=(Entry(2, 1.0),)), actor=Author("anna"))
    router.configure("m", RoutingConfig(weights={"1": 1.0}, rollout=rollout(0.2)))
    assert router.declared_rollouts == {"m": rollout(0.2)}
    assert router.shares("m") == {2: 1.0}
    router.configure("m", RoutingConfig(weights={"1": 1.0}))
    assert router.declared_rollouts == {}
    assert router.shares("m") == {2: 1.0}
    await router.close()
