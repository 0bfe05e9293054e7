"""Made-up inputs for a model, from the signature that it tells."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fastserve.errors import InvalidConfig

_FLOATS: Final = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_INTEGERS: Final = {
    f"{sign}INT{bits}": f"<{kind}{bits // 8}"
    for sign, kind in (("U", "u"), ("", "i"))
    for bits in (8, 16, 32, 64)
}
# Small enough that ids of most vocabularies and categories hold them, and every datatype does.
_LARGEST_INTEGER: Final = 10
_MAX_ELEMENTS: Final = 1 << 28


def make_inputs(
    signature: Sequence[tuple[str, str, Sequence[int]]], *, rows: int, seed: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays by input name, and wire datatypes that numpy cannot tell.

    `signature`: (name, datatype, shape). The first dimension is `rows` where it may vary, every
    other that may vary is 1. Floats are normal, integers 0 to 9, BYTES short words; the same seed
    makes the same bytes. Errors: InvalidConfig with the input's name.
    """
    random = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    datatypes: dict[str, str] = {}
    for name, datatype, dims in signature:
        shape = tuple(
            size if size >= 0 else rows if axis == 0 else 1 for axis, size in enumerate(dims)
        )
        if np.prod(shape, dtype=object) > _MAX_ELEMENTS:
            raise InvalidConfig(f"input {name!r} of shape {list(shape)} is too large to make up")
        arrays[name] = _make(random, name, datatype, shape)
        if datatype == "BF16":
            datatypes[name] = datatype
    return arrays, datatypes


def _make(random: np.random.Generator, name: str, datatype: str, shape: tuple[int, ...]) -> Any:
    if datatype in _FLOATS:
        return random.standard_normal(shape).astype(_FLOATS[datatype])
    if datatype == "BF16":  # the upper half of a float32
        bits = random.standard_normal(shape).astype("<f4").view("<u4")
        return (bits >> 16).astype("<u2")
    if datatype in _INTEGERS:
        return random.integers(0, _LARGEST_INTEGER, shape).astype(_INTEGERS[datatype])
    if datatype == "BOOL":
        return random.integers(0, 2, shape).astype(bool)
    if datatype == "BYTES":
        words = random.integers(0, 1000, shape)
        return np.vectorize(lambda word: f"word{word}", otypes=[object])(words)
    raise InvalidConfig(
        f"input {name!r} has datatype {datatype!r}, which cannot be made up; give --data"
    )
