"""What a version takes and gives, as sketches see it: tensors and the elements of a row of each."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from fastserve._core import core

# A row of another length each time.
VARIES: Final = -1


class Tensor(msgspec.Struct, frozen=True):
    """One tensor. `elements` are those of a row; VARIES where the request chooses."""

    name: str
    is_input: bool
    datatype: str
    elements: int

    @property
    def shown(self) -> str:
        width = "rows of any length" if self.elements == VARIES else f"{self.elements} a row"
        return f"{'input' if self.is_input else 'output'} {self.name!r} {self.datatype}, {width}"


Signature = tuple[Tensor, ...]


def signature_of(
    inputs: Iterable[core.TensorSpec], outputs: Iterable[core.TensorSpec], *, has_rows: bool
) -> Signature:
    """Of a version whose first axes count rows (`has_rows`), or whose requests are one row each."""
    return (
        *(_tensor(spec, has_rows, is_input=True) for spec in inputs),
        *(_tensor(spec, has_rows, is_input=False) for spec in outputs),
    )


def schema_of(signature: Signature) -> core.TableSchema:
    """The core's form. Errors: CoreError for a signature that no sketch can hold."""
    return core.TableSchema(
        [(each.name, each.is_input, each.datatype, each.elements) for each in signature]
    )


def describe_difference(expected: Signature, got: Signature) -> str:
    """What differs, one clause for each tensor; empty when nothing does."""
    wanted = {(each.is_input, each.name): each for each in expected}
    given = {(each.is_input, each.name): each for each in got}
    found = [f"lacks {wanted[key].shown}" for key in wanted if key not in given]
    found += [f"has {given[key].shown}, which is not there" for key in given if key not in wanted]
    found += [
        f"has {given[key].shown}, expected {wanted[key].datatype}, "
        f"{wanted[key].shown.rpartition(', ')[2]}"
        for key in wanted
        if key in given and given[key] != wanted[key]
    ]
    if not found and expected != got:
        found.append("has the tensors in another order")
    return "; ".join(found)


def _tensor(spec: core.TensorSpec, has_rows: bool, *, is_input: bool) -> Tensor:
    axes: Sequence[int] = spec.shape[1:] if has_rows else spec.shape
    elements = VARIES if any(axis < 0 for axis in axes) else math.prod(axes)
    return Tensor(spec.name, is_input, spec.datatype, elements)
