"""What a rollout can be, and what can become of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from fastserve.errors import RolloutConflict


class State(StrEnum):
    """Where a rollout is. The legal moves are MOVES.

    RUNNING: the candidate has the weight of a step and is judged.
    WAITING_FOR_HUMAN: as RUNNING, but the step has passed and somebody has to say so. A candidate
        that fails meanwhile is rolled back.
    PAUSED: the route stays as it is, nothing is judged, until somebody decides.
    PROMOTED: the candidate has all requests. The end.
    ROLLED_BACK: the baseline has all requests. The end.
    FAILED: it should be rolled back and the route refused that, for the baseline cannot answer.
        Tried again each second.
    """

    RUNNING = "running"
    WAITING_FOR_HUMAN = "waiting_for_human"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class Move(StrEnum):
    """What happens to a rollout.

    YIELD: the route did not follow, since somebody changed it, or it refused; the rollout leaves it
    to people. BREAK: it did not even go back.
    """

    ADVANCE = "advance"
    AWAIT = "await"
    PAUSE = "pause"
    YIELD = "yield"
    RESUME = "resume"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    BREAK = "break"


MOVES: Final[Mapping[tuple[State, Move], State]] = {
    (State.RUNNING, Move.ADVANCE): State.RUNNING,
    (State.RUNNING, Move.AWAIT): State.WAITING_FOR_HUMAN,
    (State.RUNNING, Move.PAUSE): State.PAUSED,
    (State.RUNNING, Move.YIELD): State.PAUSED,
    (State.RUNNING, Move.PROMOTE): State.PROMOTED,
    (State.RUNNING, Move.ROLL_BACK): State.ROLLED_BACK,
    (State.WAITING_FOR_HUMAN, Move.RESUME): State.RUNNING,
    (State.WAITING_FOR_HUMAN, Move.PAUSE): State.PAUSED,
    (State.WAITING_FOR_HUMAN, Move.YIELD): State.PAUSED,
    (State.WAITING_FOR_HUMAN, Move.PROMOTE): State.PROMOTED,
    (State.WAITING_FOR_HUMAN, Move.ROLL_BACK): State.ROLLED_BACK,
    (State.PAUSED, Move.RESUME): State.RUNNING,
    (State.PAUSED, Move.PROMOTE): State.PROMOTED,
    (State.PAUSED, Move.ROLL_BACK): State.ROLLED_BACK,
    # Only while the route has yet to follow.
    (State.PROMOTED, Move.YIELD): State.PAUSED,
    (State.ROLLED_BACK, Move.YIELD): State.PAUSED,
    (State.ROLLED_BACK, Move.BREAK): State.FAILED,
    (State.FAILED, Move.ROLL_BACK): State.ROLLED_BACK,
    (State.FAILED, Move.PROMOTE): State.PROMOTED,
    (State.FAILED, Move.PAUSE): State.PAUSED,
    (State.FAILED, Move.YIELD): State.PAUSED,
}

# Candidate and baseline are compared.
JUDGED: Final = frozenset({State.RUNNING, State.WAITING_FOR_HUMAN})
# Another rollout of the model may begin.
ENDED: Final = frozenset({State.PROMOTED, State.ROLLED_BACK})


def moved(state: State, move: Move) -> State:
    """Errors: RolloutConflict when the rollout is not in a state for that."""
    after = MOVES.get((state, move))
    if after is None:
        able = sorted({before for before, each in MOVES if each is move})
        verb = move.replace("_", " ")
        raise RolloutConflict(
            f"cannot {verb} a rollout that is {state.replace('_', ' ')}: expected one that is "
            f"{' or '.join(each.replace('_', ' ') for each in able)}"
        )
    return after
