"""The batching rule: what the graph must allow, the probe must show, model.toml may change."""

from typing import NamedTuple

import pytest

from fastserve.errors import InvalidConfig
from fastserve.models.inspection import decide_batching


class Tensor(NamedTuple):
    name: str
    shape: tuple
    symbols: tuple


def tensor(name, *axes):
    """Axes are sizes, or names of symbolic ones."""
    return Tensor(
        name,
        tuple(axis if isinstance(axis, int) else -1 for axis in axes),
        tuple("" if isinstance(axis, int) else axis for axis in axes),
    )


def safe():
    return True, "rows are independent (max difference 3e-7)"


def unsafe():
    return False, "output 'y' of row 0 depends on its neighbours"


def never():
    raise AssertionError("the probe costs runs of the model and was not needed")


def test_batching_is_on_when_the_graph_allows_it_and_the_probe_agrees():
    decision = decide_batching([tensor("x", "N", 4)], [tensor("y", "N", 2)], safe, None)
    assert (decision.is_batching, decision.has_rows_axis, decision.fixed_rows) == (True, True, 0)
    assert decision.reason == "on: rows are independent (max difference 3e-7)"


def test_batching_is_off_when_the_probe_sees_rows_mix():
    decision = decide_batching([tensor("x", "N", 4)], [tensor("y", "N", 2)], unsafe, None)
    assert (decision.is_batching, decision.has_rows_axis) == (False, True)
    assert decision.reason == "off: output 'y' of row 0 depends on its neighbours"


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ([tensor("x", 8, 4)], [tensor("y", "N", 2)], "first axis of input 'x' is fixed at 8"),
        ([tensor("x", "N", 4)], [tensor("y", 1)], "first axis of output 'y' is fixed at 1"),
        ([tensor("x")], [tensor("y", "N")], "input 'x' is a scalar and has no rows"),
        ([tensor("x", "N")], [tensor("y")], "output 'y' is a scalar and has no rows"),
        ([], [tensor("y", "N")], "the model has no input"),
        (
            [tensor("a", "N"), tensor("b", "M")],
            [tensor("y", "N")],
            "first axes of the inputs differ: 'a' has 'N' and 'b' has 'M'",
        ),
    ],
)
def test_batching_is_off_without_a_probe_when_the_graph_forbids_it(inputs, outputs, expected):
    decision = decide_batching(inputs, outputs, never, None)
    assert not decision.is_batching
    assert not decision.has_rows_axis
    assert decision.reason == f"off: {expected}"


def test_batching_does_not_take_names_that_an_exporter_made_up_for_differences():
    inputs = [tensor("a", "unk__5", 4), tensor("b", "unk__6", 4), tensor("c", "N", 1)]
    assert decide_batching(inputs, [tensor("y", "unk__7")], safe, None).is_batching


def test_fixed_rows_are_known_when_all_tensors_share_them():
    decision = decide_batching([tensor("x", 8, 4)], [tensor("y", 8, 2)], never, None)
    assert decision.fixed_rows == 8


def test_fixed_rows_are_unknown_when_tensors_differ():
    decision = decide_batching([tensor("x", 8, 4)], [tensor("y", 2)], never, None)
    assert decision.fixed_rows == 0


def test_rows_are_not_counted_when_unbatched_inputs_may_differ_in_them():
    inputs = [tensor("a", "", 4), tensor("b", "", 4)]
    assert not decide_batching(inputs, [tensor("y", "")], unsafe, None).has_rows_axis


def test_model_toml_turns_batching_off_without_a_probe():
    decision = decide_batching([tensor("x", "N")], [tensor("y", "N")], never, enabled=False)
    assert (decision.is_batching, decision.reason) == (False, "off: model.toml says so")


def test_model_toml_turns_batching_on_against_the_probe_and_the_reason_says_it():
    decision = decide_batching([tensor("x", "N")], [tensor("y", "N")], unsafe, enabled=True)
    assert decision.is_batching
    assert "against the probe's finding: output 'y'" in decision.reason


def test_model_toml_cannot_turn_batching_on_where_the_graph_forbids_it():
    with pytest.raises(InvalidConfig, match="first axis of input 'x' is fixed at 8"):
        decide_batching([tensor("x", 8)], [tensor("y", 8)], never, enabled=True)
