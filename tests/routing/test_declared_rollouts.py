"""A rollout of model.toml is started once, when it can be, or refused once and aloud."""

import pytest
from arms import World, rollout

from fastserve.errors import NotKept, StaleRouteTable
from fastserve.routing.declared_rollouts import DeclaredRollouts


class Declared:
    """Over a world of rollouts; `again` is what a restart makes of both."""

    def __init__(self, folder):
        self.folder, self.world = folder, World(folder)
        self.declared, self.refusals, self.problems = {}, [], []
        self._open()

    def _open(self):
        self.rollouts = DeclaredRollouts(
            lambda: self.declared, self.world.controller, self.world.arms,
            state_folder=self.folder, on_problem=self.problems.append,
            on_refusal=lambda model, _rollout, error: self.refusals.append((model, error.message)),
        )  # fmt: skip

    def again(self):
        self.world.again()
        self._open()

    async def tick(self, declared):
        self.declared = {} if declared is None else {"m": declared}
        await self.rollouts.tick()

    @property
    def started(self):
        """Weights and authors of what was started."""
        begun = [change for change in self.world.changes if change.before is None]
        return [(change.weight, change.actor) for change in begun]


@pytest.fixture
def declared(tmp_path):
    return Declared(tmp_path)


async def test_rollout_is_started_once_and_again_when_it_is_another(declared):
    for _ in range(2):
        await declared.tick(rollout(0.1))
    declared.again()
    await declared.tick(rollout(0.1))
    await declared.tick(None)
    await declared.tick(rollout(0.1))
    assert declared.started == [(0.1, "model.toml")]
    assert declared.world.record.last.reason == "[routing.rollout] of model.toml"
    await declared.world.controller.roll_back("m", actor="anna")
    await declared.tick(rollout(0.1))
    await declared.tick(rollout(0.2))
    assert [weight for weight, _ in declared.started] == [0.1, 0.2]
    assert (declared.refusals, declared.problems) == ([], [])


async def test_rollout_waits_for_both_versions_and_says_so_once(declared):
    kept = declared.world.arms.counts.pop(2)
    for _ in range(3):
        await declared.tick(rollout(0.1))
    assert declared.started == []
    assert declared.problems == [
        "[routing.rollout] of model.toml of 'm': waits for version 2 to be ready"
    ]
    declared.world.arms.counts[2] = kept
    await declared.tick(rollout(0.1))
    assert declared.started == [(0.1, "model.toml")]


async def test_rollout_beside_another_is_refused_once_also_after_a_restart(declared):
    await declared.world.start(rollout(0.3))
    for _ in range(2):
        await declared.tick(rollout(0.1))
    await declared.world.controller.promote("m", actor="anna")
    declared.again()
    await declared.tick(rollout(0.1))
    assert [weight for weight, _ in declared.started] == [0.3]
    ((model, message),) = declared.refusals
    assert model == "m"
    assert "has a rollout that is running" in message


@pytest.mark.parametrize("error", [StaleRouteTable("raced"), NotKept("the disk is full")])
async def test_what_may_go_well_in_a_second_is_tried_again(declared, error):
    declared.world.routes.refusal = error
    for _ in range(2):
        await declared.tick(rollout(0.1))
    assert declared.problems == [
        f"[routing.rollout] of model.toml of 'm': {error.message}; tried again"
    ]
    declared.world.routes.refusal = None
    await declared.tick(rollout(0.1))
    assert declared.started == [(0.1, "model.toml")]
    assert declared.refusals == []


async def test_kill_before_the_note_starts_and_refuses_nothing(declared):
    await declared.tick(rollout(0.1))
    for path in declared.folder.glob("declared_rollouts.state*"):
        path.unlink()
    declared.again()
    await declared.tick(rollout(0.1))
    assert len(declared.started) == 1
    assert declared.refusals == []
    # And is known from then on.
    await declared.world.controller.promote("m", actor="anna")
    declared.again()
    await declared.tick(rollout(0.1))
    assert len(declared.started) == 1
