"""The states of a version and their legal moves: one literal table, walked by a test."""

import enum
from typing import Final


class State(enum.Enum):
    """Of one version of a model.

    NEW: found, nothing was done with it. CHECKING: its files are read, hashed and tried in a child
    process. LOADING: its session is built. WARMING: first runs, golden answers. READY: answers.
    DRAINING: out of traffic, answers what it has. UNLOADED: its memory was given back. FAILED: see
    its reason; loading it may be tried again. A version that is unloaded while it is being loaded
    goes from CHECKING to UNLOADED, or from WARMING to DRAINING.
    """

    NEW = "NEW"
    CHECKING = "CHECKING"
    LOADING = "LOADING"
    WARMING = "WARMING"
    READY = "READY"
    DRAINING = "DRAINING"
    UNLOADED = "UNLOADED"
    FAILED = "FAILED"

    @property
    def wire(self) -> str:
        """As RepositoryIndex names it."""
        return _WIRE[self]

    @property
    def is_underway(self) -> bool:
        """A load is in progress."""
        return self in (State.CHECKING, State.LOADING, State.WARMING)


MOVES: Final[dict[State, tuple[State, ...]]] = {
    State.NEW: (State.CHECKING,),
    State.CHECKING: (State.LOADING, State.UNLOADED, State.FAILED),
    State.LOADING: (State.WARMING, State.FAILED),
    State.WARMING: (State.READY, State.DRAINING, State.FAILED),
    State.READY: (State.DRAINING,),
    State.DRAINING: (State.UNLOADED,),
    State.UNLOADED: (State.CHECKING,),
    State.FAILED: (State.CHECKING,),
}

_WIRE: Final = {
    State.NEW: "UNAVAILABLE",
    State.CHECKING: "LOADING",
    State.LOADING: "LOADING",
    State.WARMING: "LOADING",
    State.READY: "READY",
    State.DRAINING: "UNLOADING",
    State.UNLOADED: "UNAVAILABLE",
    State.FAILED: "UNAVAILABLE",
}
