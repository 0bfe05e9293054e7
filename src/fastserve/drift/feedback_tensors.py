"""Kept tensors as numpy arrays and texts: values of rows, many predictions at a time."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastserve._core import core
from fastserve.drift.feedback_label import InvalidLabel

# BF16 has none: it is read as the upper half of FP32.
_NUMPY: Final = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
FLOATS: Final = frozenset({"FP16", "BF16", "FP32", "FP64"})
_LONGEST_TEXT: Final = 256


def rows_of(tensor: core.KeptTensor) -> int:
    """Its first axis; a scalar is one row."""
    return tensor.shape[0] if tensor.shape else 1


def width_of(tensor: core.KeptTensor) -> int:
    """Elements of a row."""
    return math.prod(tensor.shape[1:])


def floats(tensors: Sequence[core.KeptTensor], width: int) -> NDArray[np.float64]:
    """All of their rows, [rows, width]. They have one datatype, and no texts.

    Errors: ValueError when they are not as large as their shapes say.
    """
    rows = sum(map(rows_of, tensors))
    return numbers(tensors).astype(np.float64).reshape(rows, width)


def numbers(tensors: Sequence[core.KeptTensor]) -> NDArray[Any]:
    """All of their elements, as numpy has them."""
    data = b"".join([tensor.data for tensor in tensors])
    datatype = tensors[0].datatype
    if datatype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, _NUMPY[datatype])


def texts(tensors: Sequence[core.KeptTensor]) -> list[str]:
    """All of their elements as people write them."""
    if tensors[0].datatype == "BYTES":
        return [text for tensor in tensors for text in _split(tensor.data)]
    return [text_of(value) for value in numbers(tensors).tolist()]


def text_of(value: float | str) -> str:
    """1, not 1.0: a class keeps its name, whatever type carries it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _split(data: bytes) -> Iterator[str]:
    """Elements of a BYTES tensor: length in 4 bytes, then the text."""
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        place += 4
        if place + size > len(data):
            raise InvalidLabel("the prediction's text is cut short")
        yield data[place : place + min(size, _LONGEST_TEXT)].decode(errors="replace")
        place += size
