"""What is kept of a model's rollouts: where the last one is, and what has happened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from fastserve.durable.model_states import ModelStates
from fastserve.rollout_spec import Rollout
from fastserve.routing.guard import GuardReport
from fastserve.routing.rollout_state import Move, State, moved

FOLDER: Final = "rollouts"
MAX_HISTORY: Final = 100
_STILL: Final = frozenset({Move.PAUSE, Move.YIELD, Move.AWAIT, Move.BREAK})


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a rollout. `guards` is the evidence, where the judge decided."""

    number: int
    # Seconds since the epoch.
    time: float
    model: str
    baseline: int
    candidate: int
    # None: the rollout began.
    before: State | None
    after: State
    # From 0, and the candidate's weight in it.
    step: int
    weight: float
    actor: str
    reason: str
    is_dry_run: bool = False
    guards: tuple[GuardReport, ...] = ()


class RolloutRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A model's last rollout. `number` counts those of the model, from 1."""

    model: str
    number: int
    rollout: Rollout
    state: State
    step: int = 0
    # Of the route as the rollout set it last, or found it.
    generation: int
    # The route has yet to become what this says.
    is_pending: bool
    # Of all rollouts of the model, the oldest first; at most MAX_HISTORY.
    history: tuple[Change, ...]

    @property
    def last(self) -> Change:
        return self.history[-1]

    @property
    def candidate_weight(self) -> float:
        """What the candidate should have of the requests."""
        if self.state is State.PROMOTED:
            return 1.0
        if self.state in {State.ROLLED_BACK, State.FAILED}:
            return 0.0
        return self.rollout.steps[self.step].weight

    @property
    def weights(self) -> Mapping[int, float]:
        """What the route should say, by version; those without requests are left out."""
        candidate = self.candidate_weight
        both = {self.rollout.baseline: 1 - candidate, self.rollout.candidate: candidate}
        return {version: weight for version, weight in both.items() if weight}


class Word(msgspec.Struct, frozen=True):
    """Who says that a rollout moves, and why."""

    actor: str
    reason: str
    guards: tuple[GuardReport, ...] = ()


def begun(
    model: str,
    rollout: Rollout,
    before: RolloutRecord | None,
    *,
    generation: int,
    word: Word,
    time: float,
) -> RolloutRecord:
    """A rollout that has yet to set the route for its first step."""
    record = RolloutRecord(
        model=model,
        number=1 if before is None else before.number + 1,
        rollout=rollout,
        state=State.RUNNING,
        generation=generation,
        is_pending=not rollout.dry_run,
        history=() if before is None else before.history,
    )
    return _noted(record, None, word, time)


def changed(
    record: RolloutRecord, move: Move, word: Word, time: float, *, step: int | None = None
) -> RolloutRecord:
    """After a move, with the route yet to be set. Errors: RolloutConflict."""
    after = msgspec.structs.replace(
        record,
        state=moved(record.state, move),
        step=record.step if step is None else step,
    )
    # A pause leaves the route as somebody wants it; of a rollout for show it is never set.
    is_still = move in _STILL or record.rollout.dry_run
    after = msgspec.structs.replace(after, is_pending=not is_still)
    return _noted(after, record.state, word, time)


def _noted(record: RolloutRecord, before: State | None, word: Word, time: float) -> RolloutRecord:
    change = Change(
        number=record.number,
        time=time,
        model=record.model,
        baseline=record.rollout.baseline,
        candidate=record.rollout.candidate,
        before=before,
        after=record.state,
        step=record.step,
        weight=record.candidate_weight,
        actor=word.actor,
        reason=word.reason,
        is_dry_run=record.rollout.dry_run,
        guards=word.guards,
    )
    return msgspec.structs.replace(record, history=(*record.history, change)[-MAX_HISTORY:])


class RolloutStore:
    """`rollouts/<model>.state` in the state folder. Without one, records last as the process does.

    Thread: any, one call for a model at a time; every function waits for the disk.
    """

    def __init__(self, state_folder: Path | None) -> None:
        folder = None if state_folder is None else state_folder / FOLDER
        self._states = ModelStates(folder, RolloutRecord)

    def read(self) -> tuple[list[RolloutRecord], list[str]]:
        """All there are, by model, and what was passed over, a line for people each.

        Errors: ArtifactCorrupt and Unsupported for a file that cannot be read; OSError.
        """
        found = [self._states.read(model) for model in self._states.models()]
        records = [state.value for state in found if state.value is not None]
        return records, [problem for state in found for problem in state.skipped]

    def write(self, record: RolloutRecord) -> None:
        """Durable when it returns. Errors: OSError, Unsupported; the old one is kept then."""
        self._states.write(record.model, record)

    def remove(self, model: str) -> None:
        """None is found when it returns. Errors: OSError."""
        self._states.remove(model)
