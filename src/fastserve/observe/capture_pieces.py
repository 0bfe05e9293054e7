"""Captured requests as values: raw wire form decoded, checked against its shape, and redacted."""

import math
import struct
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from fastserve._core import core
from fastserve.observe.capture_redaction import Redaction

Values: TypeAlias = npt.NDArray[Any] | list[bytes] | list[str]
# A tensor of a model: an input and an output may have the same name.
Key: TypeAlias = tuple[bool, str]

# As they lie on the wire; BF16 has no type in numpy, its upper half of a float32 has.
_WIRE_TYPES: Final = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_LENGTH: Final = struct.Struct("<I")


class Piece(msgspec.Struct, frozen=True):
    """A request's rows of one tensor."""

    datatype: str
    row_shape: tuple[int, ...]
    # Row after row; numbers, or texts where they were hashed, or strings of BYTES.
    values: Values
    is_text: bool
    is_hashed: bool = False
    dropped: tuple[int, ...] = ()


class Sample(msgspec.Struct, frozen=True):
    """A captured request, decoded."""

    request: core.CapturedRequest
    rows: int
    pieces: dict[Key, Piece]
    # In memory, near enough to bound it.
    size_bytes: int


def decode_request(request: core.CapturedRequest, redaction: Redaction) -> Sample:
    """Errors: ValueError when a tensor's data does not fit its shape."""
    pieces = {}
    size = 512 + len(request.id)
    for is_input, tensors in ((True, request.inputs), (False, request.outputs)):
        for tensor in tensors:
            size += len(tensor.data)
            if tensor.name not in redaction.dropped:
                pieces[is_input, tensor.name] = _piece(tensor, request.rows, redaction)
    return Sample(request, request.rows or 1, pieces, size)


def _piece(tensor: core.CapturedTensor, rows: int, redaction: Redaction) -> Piece:
    if rows and tensor.shape[:1] != (rows,):
        raise ValueError(f"{tensor.name}: shape {list(tensor.shape)} has not {rows} rows")
    elements = math.prod(tensor.shape)
    is_hashed = tensor.name in redaction.hashed
    raw = _split(tensor, elements) if tensor.datatype == "BYTES" else _numbers(tensor, elements)
    values: Values = raw
    if is_hashed:
        values = [redaction.hash_value(bytes(value)) for value in raw]
    elif tensor.datatype == "BF16" and isinstance(raw, np.ndarray):
        values = (raw.astype(np.uint32) << 16).view(np.float32)
    elif tensor.datatype == "FP16" and isinstance(raw, np.ndarray):
        values = raw.astype(np.float32)
    return Piece(
        datatype=tensor.datatype,
        row_shape=tensor.shape[1:] if rows else tensor.shape,
        values=values,
        is_text=is_hashed or _is_text(raw),
        is_hashed=is_hashed,
        dropped=redaction.elements.get(tensor.name, ()),
    )


def _numbers(tensor: core.CapturedTensor, elements: int) -> npt.NDArray[Any]:
    kind = np.dtype(_WIRE_TYPES[tensor.datatype])
    if len(tensor.data) != elements * kind.itemsize:
        raise ValueError(
            f"{tensor.name}: {len(tensor.data)} bytes, shape {list(tensor.shape)} of "
            f"{tensor.datatype} has {elements * kind.itemsize}"
        )
    return np.frombuffer(tensor.data, kind)


def _split(tensor: core.CapturedTensor, elements: int) -> list[bytes]:
    values = []
    at = 0
    while at < len(tensor.data):
        begin = at + _LENGTH.size
        if begin > len(tensor.data):
            raise ValueError(f"{tensor.name}: its last length is cut off")
        at = begin + _LENGTH.unpack_from(tensor.data, at)[0]
        if at > len(tensor.data):
            raise ValueError(f"{tensor.name}: its last element is cut off")
        values.append(tensor.data[begin:at])
    if len(values) != elements:
        raise ValueError(
            f"{tensor.name}: {len(values)} elements, shape {list(tensor.shape)} has {elements}"
        )
    return values


def _is_text(values: Values) -> bool:
    if isinstance(values, np.ndarray):
        return False
    try:
        for value in values:
            if isinstance(value, bytes):
                value.decode()
    except UnicodeDecodeError:
        return False
    return True
