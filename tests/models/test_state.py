"""The states of a version: every (state, next state) pair is either a legal move or refused."""

import itertools

import pytest

from fastserve.models.record import VersionRecord
from fastserve.models.state import MOVES, State

PAIRS = list(itertools.product(State, State))


def record_in(state):
    return VersionRecord(model="m", number=1, path=None, state=state)


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=lambda state: state.name)
def test_move_is_made_when_the_table_has_it_and_refused_when_not(before, after):
    record = record_in(before)
    if after in MOVES[before]:
        record.move(after, "why")
        assert (record.state, record.reason) == (after, "why")
    else:
        with pytest.raises(AssertionError, match=f"{before.name} -> {after.name} is no legal move"):
            record.move(after)
        assert record.state is before


def test_table_names_every_state():
    assert set(MOVES) == set(State)


def test_only_a_version_that_was_checked_loaded_and_warmed_becomes_ready():
    paths = [[State.NEW]]
    complete = []
    while paths:
        path = paths.pop()
        for after in MOVES[path[-1]]:
            if after is State.READY:
                complete.append([*path, after])
            elif after not in path:
                paths.append([*path, after])
    assert complete
    for path in complete:
        assert path[-4:] == [State.CHECKING, State.LOADING, State.WARMING, State.READY]


def test_every_state_is_named_on_the_wire_as_the_protocol_does():
    assert {state.wire for state in State} == {"READY", "UNAVAILABLE", "LOADING", "UNLOADING"}
    assert [state for state in State if state.wire == "READY"] == [State.READY]


def test_since_tells_when_the_state_began():
    record = record_in(State.NEW)
    record.since -= 10
    record.move(State.CHECKING)
    assert record.state_seconds < 5
