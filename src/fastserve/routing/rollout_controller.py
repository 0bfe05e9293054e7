"""Moves rollouts: looks at each one every second, judges, and sets the route.

What is durable when. A move is written down before the route is touched, and once more when the
route says so. A server that is killed in between finds, when it starts again, a move that is
pending: if the route has not been set it is set now, if it has been that is noted. So a rollout is
never further than its route, and whatever somebody was told has happened is still so. Only a
rollback does not wait for the disk: a candidate that fails is taken from traffic though the disk
be full, and that it could not be written down is reported.

What is not durable is the evidence of the current step. After a restart it is gathered anew, and
the step's minimum requests and time, and its `max_seconds`, begin again.

Races. The route is set only from the generation that the rollout knows. When it has another one, a
person has changed it, and they know something that the judge does not: the rollout pauses and
says so. Whoever moves it on then, moves it on from the route as it is.

Thread: the event loop's; the disk is waited for in a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from fastserve.errors import (
    ExecutionFailed,
    FastserveError,
    InvalidRoute,
    ModelNotFound,
    RolloutConflict,
    StaleRouteTable,
    VersionNotReady,
    quoted,
)
from fastserve.rollout_spec import Rollout
from fastserve.routing.evidence import ArmSource
from fastserve.routing.guard import Verdict
from fastserve.routing.judge import Judgement
from fastserve.routing.rollout_record import (
    Change,
    RolloutRecord,
    RolloutStore,
    Word,
    begun,
    changed,
)
from fastserve.routing.rollout_state import ENDED, JUDGED, Move, State
from fastserve.routing.route_keeper import RouteKeeper, Weights
from fastserve.routing.step_watch import StepWatch

TICK_SECONDS: Final = 1.0
# Who the judge is in records.
JUDGE: Final = "judge"

Listener = Callable[[Change], None]


class Clock(Protocol):
    """Time, as a server has it, or a test."""

    def monotonic(self) -> float:
        """Seconds from anywhere, for durations."""

    def time(self) -> float:
        """Seconds since the epoch, for people."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Returns after so long."""


class RolloutStatus(msgspec.Struct, frozen=True):
    """A rollout at this moment. `judgement` is the judge's last, while there is one."""

    record: RolloutRecord
    judgement: Judgement | None


class RolloutController:
    """All rollouts of a server."""

    def __init__(
        self,
        routes: RouteKeeper,
        source: ArmSource,
        store: RolloutStore,
        *,
        clock: Clock,
        bounds: Sequence[float],
        on_problem: Callable[[str], None],
    ) -> None:
        """Takes up what the store has. Errors: as `RolloutStore.read`."""
        self._routes = routes
        self._source = source
        self._store = store
        self._clock = clock
        self._bounds = bounds
        self._on_problem = on_problem
        self._watches: dict[str, StepWatch] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._listeners: list[Listener] = []
        # What stood in the way of each model's rollout at the last look.
        self._problems: dict[str, str] = {}
        found, problems = store.read()
        for problem in problems:
            on_problem(problem)
        self._records = {record.model: record for record in found}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls it after each change from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def status(self, model: str = "") -> list[RolloutStatus]:
        """The last rollout of the model, or of every one. Errors: ModelNotFound."""
        names = [self._record(model).model] if model else sorted(self._records)
        return [RolloutStatus(self._records[name], self._judgement(name)) for name in names]

    def history(self, model: str) -> tuple[Change, ...]:
        """Of all rollouts of the model, the oldest first. Errors: ModelNotFound."""
        return self._record(model).history

    def is_active(self, model: str) -> bool:
        """Whether the model has a rollout that has not ended, paused ones among them."""
        record = self._records.get(model)
        return record is not None and record.state not in ENDED

    async def start(
        self, model: str, rollout: Rollout, *, actor: str, reason: str = ""
    ) -> RolloutStatus:
        """The route says the first step when this returns.

        Errors: RolloutConflict while another one has not ended, or the route is a bandit;
        VersionNotReady; InvalidRoute when the route has other versions; those of the route.
        """
        async with self._lock(model):
            before = self._records.get(model)
            if before is not None and before.state not in ENDED:
                raise RolloutConflict(
                    f"model {quoted(model)} has a rollout that is {before.state.replace('_', ' ')}"
                    ": promote it or roll it back first"
                )
            weights = self._check_start(model, rollout)
            record = begun(
                model,
                rollout,
                before,
                generation=weights.generation,
                word=Word(actor, reason or "started"),
                time=self._clock.time(),
            )
            await self._write(record)
            self._enter(record)
            try:
                await self._apply(model)
            except FastserveError:
                # Nobody was told that it runs.
                await self._undo_start(model, before)
                raise
            self._tell(record.last)
            return self.status(model)[0]

    async def pause(self, model: str, *, actor: str, reason: str = "") -> RolloutStatus:
        """The route stays, nothing is judged. Errors: ModelNotFound, RolloutConflict."""
        return await self._order(model, Move.PAUSE, Word(actor, reason or "paused"))

    async def resume(self, model: str, *, actor: str, reason: str = "") -> RolloutStatus:
        """Goes on: with the step, if it was paused, or with the next if it waited for a word.

        Errors: ModelNotFound, RolloutConflict, those of the route.
        """
        return await self._order(model, Move.RESUME, Word(actor, reason or "resumed"))

    async def promote(self, model: str, *, actor: str, reason: str = "") -> RolloutStatus:
        """The candidate gets everything, whatever the judge says. Errors: as `resume`."""
        return await self._order(model, Move.PROMOTE, Word(actor, reason or "promoted"))

    async def roll_back(self, model: str, *, actor: str, reason: str = "") -> RolloutStatus:
        """The baseline gets everything. Errors: as `resume`."""
        return await self._order(model, Move.ROLL_BACK, Word(actor, reason or "rolled back"))

    async def run(self) -> None:
        """Looks every second, until it is cancelled."""
        while True:
            await self.tick()
            await self._clock.sleep(TICK_SECONDS)

    async def tick(self) -> None:
        """Looks at every rollout once."""
        for model in tuple(self._records):
            try:
                async with self._lock(model):
                    await self._look(model)
            except Exception as error:  # noqa: BLE001 - one rollout must not hold up the others
                self._report(model, f"{type(error).__name__}: {error}")
            else:
                self._problems.pop(model, None)

    def _report(self, model: str, problem: str) -> None:
        """Once, not each second."""
        if self._problems.get(model) != problem:
            self._problems[model] = problem
            self._on_problem(f"rollout of model {quoted(model)}: {problem}")

    def _record(self, model: str) -> RolloutRecord:
        record = self._records.get(model)
        if record is None:
            raise ModelNotFound(f"model {quoted(model)} has had no rollout")
        return record

    def _judgement(self, model: str) -> Judgement | None:
        watch = self._watches.get(model)
        return None if watch is None else watch.judgement

    def _lock(self, model: str) -> asyncio.Lock:
        return self._locks.setdefault(model, asyncio.Lock())

    def _check_start(self, model: str, rollout: Rollout) -> Weights:
        for version in (rollout.baseline, rollout.candidate):
            if self._source.counters(model, version) is None:
                raise VersionNotReady(f"version {version} of model {quoted(model)} is not loaded")
        weights = self._routes.weights(model)
        if weights.is_bandit:
            raise RolloutConflict(
                f"the route of model {quoted(model)} is a bandit, which moves the weights by "
                "itself: set one of another strategy first"
            )
        ours = {rollout.baseline, rollout.candidate}
        others = {version for version, share in weights.shares.items() if share} - ours
        if others:
            raise InvalidRoute(
                f"the route of model {quoted(model)} has version {min(others)} beside the "
                f"rollout's {rollout.baseline} and {rollout.candidate}: take it off first"
            )
        return weights

    async def _undo_start(self, model: str, before: RolloutRecord | None) -> None:
        """As if it had never been asked for."""
        try:
            if before is None:
                del self._records[model]
                await asyncio.to_thread(self._store.remove, model)
            else:
                self._enter(before)
                await self._write(before)
        except (OSError, FastserveError) as error:
            self._on_problem(
                f"the start of a rollout of model {quoted(model)} was refused, and may come back "
                f"with a restart: {error}"
            )

    async def _order(self, model: str, move: Move, word: Word) -> RolloutStatus:
        """A person's word. They have seen the route: it is taken as it is now."""
        async with self._lock(model):
            record = self._record(model)
            step = record.step
            if record.state is State.WAITING_FOR_HUMAN and move is Move.RESUME:
                step += 1
                if step == len(record.rollout.steps):
                    move, step = Move.PROMOTE, record.step
            generation = self._routes.weights(model).generation
            record = msgspec.structs.replace(record, generation=generation)
            after = changed(record, move, word, self._clock.time(), step=step)
            problem = await self._carry_out(after)
            if problem is not None:
                raise problem
            return self.status(model)[0]

    async def _look(self, model: str) -> None:
        record = self._records[model]
        if record.is_pending:
            await self._settle(model)
            record = self._records[model]
        is_failed = record.state is State.FAILED
        if not (is_failed or record.state in JUDGED) or record.is_pending:
            return
        if not record.rollout.dry_run and self._is_raced(record):
            await self._pause_raced(record)
            return
        if is_failed:
            await self._retry(record)
            return
        watch = self._watch(record)
        await self._follow(record, watch.look(self._clock.monotonic()))

    async def _follow(self, record: RolloutRecord, judgement: Judgement) -> None:
        """Does what the judge says."""
        word = Word(JUDGE, judgement.reason, judgement.guards)
        step = record.rollout.steps[record.step]
        if judgement.verdict is Verdict.FAIL:
            await self._move(record, Move.ROLL_BACK, word)
        elif record.state is not State.RUNNING:
            return
        elif judgement.verdict is Verdict.PASS:
            is_last = record.step + 1 == len(record.rollout.steps)
            if step.gate or (is_last and not record.rollout.auto_promote):
                await self._move(record, Move.AWAIT, word)
            elif is_last:
                await self._move(record, Move.PROMOTE, word)
            else:
                await self._move(record, Move.ADVANCE, word, step=record.step + 1)
        elif judgement.seconds >= step.max_seconds:
            move = Move.PAUSE if record.rollout.on_expiry == "pause" else Move.ROLL_BACK
            reason = f"no verdict in {step.max_seconds:g} seconds: {judgement.reason}"
            await self._move(record, move, Word(JUDGE, reason, judgement.guards))

    async def _move(
        self, record: RolloutRecord, move: Move, word: Word, *, step: int | None = None
    ) -> None:
        await self._carry_out(changed(record, move, word, self._clock.time(), step=step))

    async def _carry_out(self, record: RolloutRecord) -> FastserveError | None:
        """Writes the move down, tells, and sets the route; returns why that refused.

        Errors: ExecutionFailed when the move could not be written down and is no rollback: then
        it has not happened.
        """
        if record.state is State.ROLLED_BACK:
            await self._write_or_report(record)
        else:
            await self._write(record)
        self._enter(record)
        self._tell(record.last)
        return await self._settle(record.model) if record.is_pending else None

    async def _settle(self, model: str) -> FastserveError | None:
        """Makes the route what the record says; when it refuses, the record says that."""
        record = self._records[model]
        try:
            await self._apply(model)
        except StaleRouteTable as error:
            await self._pause_raced(record)
            return error
        except FastserveError as error:
            move = Move.BREAK if record.state is State.ROLLED_BACK else Move.YIELD
            word = Word(JUDGE, f"the route refused: {error.message}")
            after = changed(record, move, word, self._clock.time())
            self._enter(after)
            self._tell(after.last)
            await self._write_or_report(after)
            return error
        return None

    async def _apply(self, model: str) -> None:
        """Errors: those of the route, which is then as it was."""
        record = self._records[model]
        if not record.is_pending:
            return
        now = self._routes.weights(model)
        if now.generation != record.generation + 1 or not now.says(record.weights):
            last = record.last
            now = await self._routes.set_weights(
                model,
                record.weights,
                expected_generation=record.generation,
                actor=last.actor,
                reason=f"rollout {record.number}: {last.reason}",
                waits_for_disk=record.state is not State.ROLLED_BACK,
            )
        done = msgspec.structs.replace(record, generation=now.generation, is_pending=False)
        self._enter(done)
        await self._write_or_report(done)

    async def _retry(self, record: RolloutRecord) -> None:
        """Sets the route back, if it can be by now; in silence if not."""
        try:
            now = await self._routes.set_weights(
                record.model,
                record.weights,
                expected_generation=record.generation,
                actor=JUDGE,
                reason=f"rollout {record.number}: {record.last.reason}",
                waits_for_disk=False,
            )
        except FastserveError:
            return
        word = Word(JUDGE, "the route could be set back")
        after = changed(record, Move.ROLL_BACK, word, self._clock.time())
        after = msgspec.structs.replace(after, generation=now.generation, is_pending=False)
        self._enter(after)
        self._tell(after.last)
        await self._write_or_report(after)

    def _is_raced(self, record: RolloutRecord) -> bool:
        return self._routes.weights(record.model).generation != record.generation

    async def _pause_raced(self, record: RolloutRecord) -> None:
        found = self._routes.weights(record.model).generation
        word = Word(
            JUDGE,
            f"the route has generation {found}, expected {record.generation}: somebody else "
            "changed it" + (f" (before that: {record.last.reason})" if record.is_pending else ""),
        )
        after = changed(record, Move.YIELD, word, self._clock.time())
        self._enter(after)
        self._tell(after.last)
        await self._write_or_report(after)

    def _watch(self, record: RolloutRecord) -> StepWatch:
        watch = self._watches.get(record.model)
        if watch is None:
            watch = self._watches[record.model] = StepWatch(
                record,
                self._source,
                self._bounds,
                now=self._clock.monotonic(),
                time=self._clock.time(),
            )
        return watch

    def _enter(self, record: RolloutRecord) -> None:
        """The record from now on. Evidence stays while the step does."""
        before = self._records.get(record.model)
        self._records[record.model] = record
        is_same = (
            before is not None
            and (before.number, before.step) == (record.number, record.step)
            and before.state in JUDGED
            and record.state in JUDGED
        )
        if not is_same:
            self._watches.pop(record.model, None)

    async def _write(self, record: RolloutRecord) -> None:
        try:
            await asyncio.to_thread(self._store.write, record)
        except OSError as error:
            raise ExecutionFailed(
                f"the rollout of model {quoted(record.model)} cannot be written to the state "
                f"folder: {error.strerror or error}"
            ) from error

    async def _write_or_report(self, record: RolloutRecord) -> None:
        try:
            await self._write(record)
        except FastserveError as error:
            self._on_problem(error.message)

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(change)
            except Exception as error:  # noqa: BLE001 - a webhook's bug must not stop a rollout
                self._on_problem(f"a listener of rollouts failed: {type(error).__name__}: {error}")
