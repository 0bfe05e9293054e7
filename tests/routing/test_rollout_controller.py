"""Rollouts as they move: by the judge, by people, against races, over restarts and full disks."""

import errno
import os

import pytest
from arms import World, rollout

from fastserve.errors import (
    ArtifactCorrupt,
    ExecutionFailed,
    InvalidRoute,
    ModelNotFound,
    RolloutConflict,
    StaleRouteTable,
    VersionNotReady,
)
from fastserve.rollout_spec import Step
from fastserve.routing.guard import Verdict
from fastserve.routing.rollout_record import MAX_HISTORY
from fastserve.routing.rollout_state import ENDED, MOVES, Move, State, moved
from fastserve.routing.route_keeper import Weights

LONG = 200  # seconds in which a step with little to see has passed


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("move", Move)
def test_every_state_takes_exactly_the_moves_of_the_table(state, move):
    if (state, move) in MOVES:
        assert moved(state, move) is MOVES[state, move]
    else:
        with pytest.raises(RolloutConflict, match="expected one that is"):
            moved(state, move)


def test_every_state_can_be_left_to_an_end():
    for state in State:
        assert state in ENDED or any(MOVES.get((state, move)) in ENDED for move in Move)


async def test_good_candidate_goes_through_all_steps(world):
    await world.start(rollout(0.1, 0.5))
    assert world.shares == {1: 0.9, 2: 0.1}
    await world.pass_seconds(2 * LONG)
    assert world.state == "promoted"
    assert world.shares == {2: 1.0}
    assert [shares for shares, _, _ in world.routes.calls] == [
        {1: 0.9, 2: 0.1}, {1: 0.5, 2: 0.5}, {2: 1.0},
    ]  # fmt: skip
    assert [(change.before, change.after) for change in world.changes] == [
        (None, "running"), ("running", "running"), ("running", "promoted"),
    ]  # fmt: skip
    assert [actor for _, actor, _ in world.routes.calls] == ["anna", "judge", "judge"]
    assert world.problems == []


async def test_bad_candidate_is_taken_off_in_one_step_with_the_evidence_kept(world):
    await world.start(rollout(0.1, 0.5))
    await world.pass_seconds(60, failed=5)
    assert world.state == "rolled_back"
    assert world.shares == {1: 1.0}
    assert len(world.routes.calls) == 2
    change = world.record.last
    assert change.reason.startswith("errors: 10.000% against 0.000%")
    (guard,) = change.guards
    assert guard.verdict is Verdict.FAIL
    assert guard.evidence > 1 / 0.025
    assert change.time - world.clock.time() < 0


async def test_silence_moves_nothing(world):
    await world.start(rollout(0.1, 0.5))
    await world.pass_seconds(LONG, candidate=0, baseline=0)
    assert (world.state, world.record.step) == ("running", 0)
    await world.pass_seconds(LONG, candidate=0)
    await world.pass_seconds(LONG, baseline=0)
    assert (world.state, world.record.step) == ("running", 0)


async def test_step_that_gets_no_verdict_ends_as_it_was_told(world):
    step = Step(weight=0.1, max_seconds=100)
    await world.start(rollout(steps=(step,)))
    await world.pass_seconds(110, candidate=0)
    assert world.state == "paused"
    assert world.record.last.reason.startswith("no verdict in 100 seconds: awaits 1000 more")
    assert world.shares == {1: 0.9, 2: 0.1}
    await world.controller.roll_back("m", actor="anna")
    await world.start(rollout(steps=(step,), on_expiry="rollback"))
    await world.pass_seconds(110, candidate=0)
    assert world.state == "rolled_back"


async def test_gate_waits_for_a_person_and_still_judges(world):
    steps = (Step(weight=0.1, min_requests=10, gate=True), Step(weight=0.5))
    await world.start(rollout(steps=steps))
    await world.pass_seconds(LONG)
    assert (world.state, world.record.step) == ("waiting_for_human", 0)
    await world.controller.resume("m", actor="bert")
    assert (world.state, world.record.step) == ("running", 1)
    assert world.shares == {1: 0.5, 2: 0.5}

    await world.controller.roll_back("m", actor="bert")
    await world.start(rollout(steps=steps))
    await world.pass_seconds(LONG)
    assert world.state == "waiting_for_human"
    await world.pass_seconds(LONG, failed=10)
    assert world.state == "rolled_back"


async def test_last_step_waits_when_promotion_is_by_hand(world):
    await world.start(rollout(0.1, auto_promote=False))
    await world.pass_seconds(LONG)
    assert world.state == "waiting_for_human"
    await world.controller.resume("m", actor="bert")
    assert (world.state, world.shares) == ("promoted", {2: 1.0})


async def test_dry_run_judges_and_touches_no_route(world):
    await world.start(rollout(0.1, 0.5, dry_run=True))
    await world.pass_seconds(2 * LONG)
    assert world.state == "promoted"
    assert world.shares == {}
    assert all(change.is_dry_run for change in world.changes)


async def test_paused_rollout_is_not_judged_and_begins_its_step_anew(world):
    await world.start(rollout(0.1, 0.5))
    await world.pass_seconds(30)
    await world.controller.pause("m", actor="anna", reason="lunch")
    assert world.record.last.reason == "lunch"
    await world.pass_seconds(60, failed=50)
    assert world.state == "paused"
    await world.controller.resume("m", actor="anna")
    await world.pass_seconds(1)
    (status,) = world.controller.status("m")
    assert status.judgement.candidate_requests == 0


async def test_race_with_a_person_pauses_with_the_reason(world):
    await world.start(rollout(0.1, 0.5))
    await world.pass_seconds(10)
    world.routes.change()
    await world.pass_seconds(1)
    assert world.state == "paused"
    assert world.record.last.reason == (
        "the route has generation 2, expected 1: somebody else changed it"
    )
    await world.controller.resume("m", actor="anna")
    assert world.state == "running"
    assert world.routes.weights("m") == Weights(3, {1: 0.9, 2: 0.1})


async def test_race_at_the_very_move_keeps_the_persons_route(world):
    await world.start(rollout(0.1, 0.5))
    await world.pass_seconds(10, failed=0)
    keep = world.routes.set_weights

    async def late(*words, **more):
        world.routes.change()
        return await keep(*words, **more)

    world.routes.set_weights = late
    await world.pass_seconds(60, failed=25)
    assert world.state == "paused"
    assert "errors: " in world.record.last.reason
    assert world.record.last.before == "rolled_back"
    assert len(world.routes.calls) == 1


async def test_persons_word_goes_before_the_judges(world):
    await world.start(rollout(0.1, 0.5))
    await world.controller.promote("m", actor="anna", reason="I know it")
    assert world.shares == {2: 1.0}
    with pytest.raises(RolloutConflict, match="cannot roll back a rollout that is promoted"):
        await world.controller.roll_back("m", actor="anna")


async def test_start_is_refused_with_the_reason_and_changes_nothing(world):
    with pytest.raises(VersionNotReady, match="version 7 of model 'm' is not loaded"):
        await world.start(rollout(candidate=7))
    world.routes.found["m"] = Weights(4, {1: 0.5, 3: 0.5})
    with pytest.raises(InvalidRoute, match="has version 3 beside the rollout's 1 and 2"):
        await world.start(rollout())
    with pytest.raises(ModelNotFound, match="'m' has had no rollout"):
        world.controller.status("m")
    world.routes.found["m"] = Weights(4, {1: 1.0})
    await world.start(rollout())
    assert world.routes.weights("m").generation == 5
    with pytest.raises(RolloutConflict, match="has a rollout that is running"):
        await world.start(rollout())


async def test_start_that_the_route_refuses_has_not_begun(world):
    world.routes.refusal = InvalidRoute("no")
    with pytest.raises(InvalidRoute):
        await world.start(rollout())
    world.routes.refusal = None
    world.again()
    await world.pass_seconds(5)
    assert (world.controller.status(), world.shares) == ([], {})
    await world.start(rollout())
    await world.controller.promote("m", actor="anna")
    before = world.record
    world.routes.refusal = InvalidRoute("no")
    with pytest.raises(InvalidRoute):
        await world.start(rollout())
    assert world.record == before
    world.again()
    assert world.record == before


async def test_rollback_that_the_route_refuses_is_tried_again(world):
    await world.start(rollout(0.1, 0.5))
    world.routes.refusal = VersionNotReady("version 1 is not ready")
    await world.pass_seconds(60, failed=25)
    assert world.state == "failed"
    assert world.record.last.reason == "the route refused: version 1 is not ready"
    world.again()
    await world.pass_seconds(5)
    assert world.state == "failed"
    world.routes.refusal = None
    await world.pass_seconds(1)
    assert (world.state, world.shares) == ("rolled_back", {1: 1.0})


async def test_promotion_that_the_route_refuses_pauses_and_says_so(world):
    await world.start(rollout(0.1, 0.5))
    world.routes.refusal = VersionNotReady("version 2 is not ready")
    with pytest.raises(VersionNotReady):
        await world.controller.promote("m", actor="anna")
    assert world.state == "paused"
    assert world.shares == {1: 0.9, 2: 0.1}


async def test_restart_goes_on_where_it_was_with_fresh_evidence(world):
    await world.start(rollout(0.1, 0.5))
    await world.pass_seconds(LONG)
    assert world.record.step == 1 or world.state == "promoted"
    before = world.record
    world.again()
    assert world.record == before
    await world.pass_seconds(2 * LONG)
    assert (world.state, world.shares) == ("promoted", {2: 1.0})


async def test_move_that_was_written_and_not_carried_out_is_carried_out_after_a_restart(world):
    await world.start(rollout(0.1, 0.5))

    async def die(*_words, **_more):
        raise KeyboardInterrupt  # as a kill: nothing after it runs

    keep, world.routes.set_weights = world.routes.set_weights, die
    with pytest.raises(KeyboardInterrupt):
        await world.controller.roll_back("m", actor="anna")
    world.routes.set_weights = keep
    world.again()
    assert world.record.is_pending
    await world.pass_seconds(1)
    assert (world.state, world.shares) == ("rolled_back", {1: 1.0})
    assert not world.record.is_pending


async def test_move_that_was_carried_out_and_not_noted_is_not_done_twice(world):
    await world.start(rollout(0.1, 0.5))
    keep = world.routes.set_weights

    async def die(*words, **more):
        await keep(*words, **more)
        raise KeyboardInterrupt

    world.routes.set_weights = die
    with pytest.raises(KeyboardInterrupt):
        await world.controller.promote("m", actor="anna")
    world.routes.set_weights = keep
    world.again()
    await world.pass_seconds(1)
    assert world.routes.weights("m") == Weights(2, {2: 1.0})
    assert not world.record.is_pending
    assert world.problems == []


async def test_full_disk_stops_a_promotion_and_no_rollback(world, monkeypatch):
    await world.start(rollout(0.1, 0.5))

    def full(*_words):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fastserve.durable.model_states.write_state", full)
    with pytest.raises(ExecutionFailed, match="No space left"):
        await world.controller.promote("m", actor="anna")
    assert (world.state, world.shares) == ("running", {1: 0.9, 2: 0.1})
    await world.pass_seconds(60, failed=25)
    assert (world.state, world.shares) == ("rolled_back", {1: 1.0})
    assert any("No space left" in problem for problem in world.problems)


async def test_state_that_is_damaged_twice_is_refused(world, tmp_path):
    await world.start(rollout())
    for path in (tmp_path / "rollouts").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(ArtifactCorrupt, match="no sound state"):
        world.again()


async def test_listener_that_fails_stops_nobody(world):
    def fail(_change):
        raise RuntimeError("no")

    world.controller.listen(fail)
    await world.start(rollout())
    assert world.problems == ["a listener of rollouts failed: RuntimeError: no"]
    assert len(world.changes) == 1


async def test_problem_of_one_model_is_told_once_and_holds_up_nobody(world):
    await world.start(rollout())
    world.arms.counters = None
    await world.controller.tick()
    await world.controller.tick()
    assert len(world.problems) == 1
    assert "rollout of model 'm': TypeError" in world.problems[0]


async def test_history_is_bounded_and_outlives_a_rollout():
    world = World()
    for _ in range(MAX_HISTORY):
        await world.start(rollout())
        await world.controller.roll_back("m", actor="anna")
    history = world.controller.history("m")
    assert len(history) == MAX_HISTORY
    assert {change.number for change in history} == set(range(51, 101))


async def test_run_ticks_every_second_until_it_is_cancelled(world):
    await world.start(rollout())
    began = world.clock.now
    sleeps = 0

    async def sleep(seconds):
        nonlocal sleeps
        world.clock.now += seconds
        sleeps += 1
        if sleeps == 3:
            raise StaleRouteTable("enough")

    world.clock.sleep = sleep
    with pytest.raises(StaleRouteTable):
        await world.controller.run()
    assert world.clock.now - began == 3
