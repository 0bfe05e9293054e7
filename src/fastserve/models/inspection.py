"""May the requests of this model share a run? The rule, its parts in order, and the reason given.

1. The first axis of every input and every output varies (it is symbolic, or has no name at all).
   Inputs that name their first axes differently do not share one, unless an exporter made the names
   up.
2. Runs with random rows show that a row's answer does not depend on its neighbours
   (csrc/fastserve/runtime/row_independence.h states the tolerance).

`model.toml` may turn batching off, or on where the probe alone stood against it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from fastserve.errors import InvalidConfig


class Tensor(Protocol):
    """A tensor of a signature; -1 where the request chooses."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...


class BatchingDecision(msgspec.Struct, frozen=True):
    """How rows are counted and whether requests share a run; `reason` is for people."""

    is_batching: bool
    # The first axis of every input and output counts rows, and a request has one number of them.
    has_rows_axis: bool
    # Rows of every run when the graph fixes them for all tensors alike; 0 when it does not.
    fixed_rows: int
    reason: str


# Names that exporters give to axes that nobody named: tf2onnx, skl2onnx, Keras.
_MADE_UP = re.compile(r"|None|unk__\d+|\?|dynamic_axes_\d+|_\d+")


def decide_batching(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    probe: Callable[[], tuple[bool, str]],
    enabled: bool | None,
) -> BatchingDecision:
    """The decision for one version. `probe` runs the model and is called only when it matters.

    Errors: InvalidConfig when model.toml turns on what the graph makes impossible.
    """
    obstacle = _obstacle(inputs, outputs)
    if obstacle:
        if enabled:
            raise InvalidConfig(f"batching.enabled = true cannot be: {obstacle}")
        return BatchingDecision(
            is_batching=False,
            has_rows_axis=False,
            fixed_rows=_common_fixed_rows(inputs, outputs),
            reason=f"off: {obstacle}",
        )
    if enabled is False:
        return _alone(inputs, "model.toml says so")
    is_safe, verdict = probe()
    if not is_safe and not enabled:
        return _alone(inputs, verdict)
    why = verdict if is_safe else f"model.toml says so, against the probe's finding: {verdict}"
    return BatchingDecision(is_batching=True, has_rows_axis=True, fixed_rows=0, reason=f"on: {why}")


def _alone(inputs: Sequence[Tensor], why: str) -> BatchingDecision:
    return BatchingDecision(
        is_batching=False, has_rows_axis=_is_shared(inputs), fixed_rows=0, reason=f"off: {why}"
    )


def _is_shared(inputs: Sequence[Tensor]) -> bool:
    """All inputs surely have the same number of rows, which only batching asks of them."""
    symbols = {tensor.symbols[0] if tensor.symbols else "" for tensor in inputs}
    return len(inputs) == 1 or (len(symbols) == 1 and not _MADE_UP.fullmatch(symbols.pop()))


def _obstacle(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> str:
    if not inputs:
        return "the model has no input"
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for tensor in tensors:
            if not tensor.shape:
                return f"{kind} '{tensor.name}' is a scalar and has no rows"
            if tensor.shape[0] != -1:
                return f"first axis of {kind} '{tensor.name}' is fixed at {tensor.shape[0]}"
    named = {
        tensor.symbols[0]: tensor.name
        for tensor in inputs
        if tensor.symbols and not _MADE_UP.fullmatch(tensor.symbols[0])
    }
    if len(named) > 1:
        (one, first), (other, second) = list(named.items())[:2]
        return (
            f"first axes of the inputs differ: '{first}' has '{one}' and '{second}' has '{other}'"
        )
    return ""


def _common_fixed_rows(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    firsts = {tensor.shape[0] if tensor.shape else -1 for tensor in (*inputs, *outputs)}
    return firsts.pop() if len(firsts) == 1 and max(firsts) > 0 else 0
