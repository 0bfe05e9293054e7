"""Bandits begin, move and end with their routes, over the real router and its files."""

import msgspec
import pytest
from arms import Arms, Clock

from fastserve.errors import RolloutConflict
from fastserve.route_spec import Bandit, Entry
from fastserve.routing.bandits import Bandits
from fastserve.routing.reward import Reward, RewardStore
from fastserve.routing.route import Route
from fastserve.routing.route_store import RouteStore
from fastserve.routing.router import Author, Router

ANNA = Author("anna")


class Models:
    version_states = staticmethod(lambda _model: {1: "ready", 2: "ready", 3: "ready"})
    serving = staticmethod(lambda _model: 1)
    follow_route = staticmethod(lambda _model: None)


def declared(**weights):
    entries = tuple(Entry(int(name[1:]), weight) for name, weight in weights.items())
    return Route(model="m", strategy="bandit", entries=entries, sticky="header:x-user", seed=7,
                 bandit=Bandit(min_share=0.1, interval_seconds=60))  # fmt: skip


class Server:
    """`again` is what a restart makes of it."""

    def __init__(self, folder):
        self.folder, self.clock, self.arms, self.problems = folder, Clock(), Arms(), []
        self.arms.counts[3] = self.arms.counts[1]
        self.rollouts, self.changes = set(), []
        self.again()

    def again(self):
        self.router = Router(RouteStore(self.folder, self.problems.append))
        self.router.bind(Models())
        self.router.on_change(self._note)
        self.bandits = Bandits(
            self.router, self.arms, RewardStore(self.folder, self.problems.append),
            has_rollout=self.rollouts.__contains__, monotonic=self.clock.monotonic, seed=1,
            on_problem=self.problems.append,
        )  # fmt: skip

    async def _note(self, change):
        self.changes.append(change)

    async def set(self, route):
        await self.router.set("m", route, actor=ANNA)

    def label(self, version, right, wrong):
        before = self.arms.counts[version]
        self.arms.counts[version] = msgspec.structs.replace(
            before,
            right_labels=before.right_labels + right,
            wrong_labels=before.wrong_labels + wrong,
        )

    async def pass_interval(self):
        for _ in range(3):
            self.clock.now += 30
            await self.bandits.tick()

    @property
    def rewards(self):
        status = self.bandits.status("m")
        return None if status is None else status.rewards


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


async def test_bandit_moves_its_route_and_keeps_all_else_of_it(server):
    await server.set(declared(v1=0.5, v2=0.5))
    server.label(1, 50, 50)
    server.label(2, 90, 10)
    await server.pass_interval()
    route = server.router.route("m")
    assert route.weight_shares() == pytest.approx({1: 0.1, 2: 0.9})
    before = declared(v1=0.5, v2=0.5)
    for name in ("strategy", "bandit", "sticky", "seed"):
        assert getattr(route, name) == getattr(before, name)
    author = server.changes[-1].author
    assert (author.name, author.origin) == ("bandit", "automatic")
    assert server.changes[-1].reason == "1: 50 right, 50 wrong; 2: 90 right, 10 wrong"
    # Its own change is no declaration: the next one is an interval away, and there is none to make.
    await server.pass_interval()
    assert len(server.changes) == 2
    assert server.problems == []


async def test_counts_and_declaration_outlive_a_restart(server):
    await server.set(declared(v1=0.5, v2=0.5))
    server.label(1, 3, 1)
    await server.bandits.tick()
    await server.bandits.close()
    server.again()
    await server.bandits.tick()
    assert server.rewards == {1: Reward(3, 1), 2: Reward()}
    assert server.router.route("m").strategy == "bandit"


async def test_new_declaration_has_its_own_shares_and_keeps_what_versions_earned(server):
    await server.set(declared(v1=0.5, v2=0.5))
    server.label(1, 3, 1)
    await server.set(declared(v1=0.8, v3=0.2))
    assert server.rewards == {1: Reward(3, 1), 3: Reward()}
    await server.pass_interval()
    assert server.router.shares("m") == pytest.approx({1: 0.8, 3: 0.2})
    server.label(3, 1, 90)
    await server.pass_interval()
    assert server.router.shares("m") == pytest.approx({1: 0.9, 3: 0.1})


@pytest.mark.parametrize("is_removed", [True, False])
async def test_end_of_the_route_is_the_end_of_the_bandit(server, is_removed):
    await server.set(declared(v1=0.5, v2=0.5))
    server.label(1, 3, 1)
    await server.pass_interval()
    assert list(server.folder.glob("bandits/m.state*"))
    if is_removed:
        await server.router.remove("m", actor=ANNA)
    else:
        await server.set(Route(model="m", entries=(Entry(1, 1.0),)))
    assert server.rewards is None
    assert not list(server.folder.glob("bandits/m.state*"))
    await server.set(declared(v1=0.5, v2=0.5))
    assert server.rewards == {1: Reward(), 2: Reward()}


async def test_counts_of_a_route_that_went_meanwhile_are_forgotten(server):
    RewardStore(server.folder, print).write("m", {1: Reward(3, 1)})
    server.again()
    assert not list(server.folder.glob("bandits/m.state*"))


async def test_bandit_and_rollout_exclude_each_other(server):
    server.rollouts.add("m")
    with pytest.raises(RolloutConflict, match="has a rollout that has not ended"):
        await server.set(declared(v1=0.5, v2=0.5))
    assert server.changes[-1].outcome == "refused"
    await server.set(Route(model="m", entries=(Entry(1, 1.0),)))
    server.rollouts.clear()
    await server.set(declared(v1=0.5, v2=0.5))
    # model.toml may say a bandit while a rollout runs: it waits, and says so once.
    server.rollouts.add("m")
    server.label(1, 9, 1)
    server.label(2, 1, 9)
    await server.pass_interval()
    await server.pass_interval()
    assert server.router.shares("m") == {1: 0.5, 2: 0.5}
    assert server.problems == ["bandit of model 'm': the weights stay until the rollout has ended"]
    assert server.bandits.status("m").awaited[0] == "the end of the rollout"
    server.rollouts.clear()
    await server.pass_interval()
    assert server.router.shares("m") == pytest.approx({1: 0.9, 2: 0.1})


async def test_counts_that_cannot_be_read_hold_the_bandit_and_are_reported_once(server):
    await server.set(declared(v1=0.5, v2=0.5))
    await server.pass_interval()
    for path in server.folder.glob("bandits/m.state*"):
        path.write_text("damaged")
    server.again()
    await server.pass_interval()
    assert len(server.problems) == 1
    assert "ArtifactCorrupt" in server.problems[0]
    assert server.rewards is None
    # Whoever begins anew removes it.
    await server.router.remove("m", actor=ANNA)
    await server.set(declared(v1=0.5, v2=0.5))
    assert server.rewards == {1: Reward(), 2: Reward()}


async def test_metrics_tell_labels_by_what_they_said(server):
    (family,) = server.bandits.families()
    assert family.samples == []
    await server.set(declared(v1=0.5, v2=0.5))
    before = server.bandits.stamp
    server.label(2, 4, 1)
    await server.bandits.tick()
    assert server.bandits.stamp != before
    (family,) = server.bandits.families()
    assert ({"model": "m", "version": "2", "verdict": "right"}, 4.0) in family.samples
    assert ({"model": "m", "version": "2", "verdict": "wrong"}, 1.0) in family.samples
