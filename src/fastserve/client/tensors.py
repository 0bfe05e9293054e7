"""numpy arrays to and from the tensors of the Open Inference Protocol.

Wire forms: fixed-size elements lie little-endian in C order; each element of BYTES is a 4-byte
little-endian length and that many bytes.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fastserve.client.failure import InvalidReply
from fastserve.errors import InvalidTensor

Array = npt.NDArray[Any]

# Datatypes that numpy has itself. BF16 (from ml_dtypes, or a uint16 view) and BYTES stand apart.
_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_DATATYPES: Final[dict[np.dtype[Any], str]] = {dtype: name for name, dtype in _DTYPES.items()}
_TEXT_KINDS: Final = frozenset("OSUT")  # object, bytes, str, numpy 2's StringDType
_TYPED_FIELDS: Final[dict[str, str]] = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class RawTensor(NamedTuple):
    """A tensor ready for `raw_input_contents`; `data` shares the array's memory where it can."""

    datatype: str
    shape: tuple[int, ...]
    data: Any  # anything with the buffer protocol, C-contiguous
    byte_count: int


def dtype_of(datatype: str) -> np.dtype[Any]:
    """The numpy dtype that carries `datatype`; object for BYTES.

    BF16 is `ml_dtypes.bfloat16` where that package is installed, else uint16 holding the bits.
    """
    if datatype == "BYTES":
        return np.dtype(object)
    if datatype == "BF16":
        return _bfloat16()
    try:
        return _DTYPES[datatype]
    except KeyError:
        known = ", ".join([*_DTYPES, "BF16", "BYTES"])
        raise InvalidTensor(f"datatype {datatype!r} is unknown, expected one of {known}") from None


def encode_tensor(name: str, value: Any, datatype: str | None = None) -> RawTensor:
    """The wire form of `value`.

    `datatype` is needed for BF16 held in a uint16 array only; elsewhere it is checked.
    Raises InvalidTensor naming the input, what it got and what it expected.
    """
    if not isinstance(value, (np.ndarray, np.generic)):
        raise InvalidTensor(
            f"input {name!r}: got {type(value).__name__}, expected a numpy array; "
            "convert it with np.asarray(value, dtype=...)"
        )
    array = np.asarray(value)
    found = _DATATYPES.get(array.dtype) or _unusual_datatype(name, array)
    if datatype is not None and datatype != found:
        if datatype != "BF16" or array.dtype != np.uint16:
            expected = "uint16 or bfloat16" if datatype == "BF16" else dtype_of(datatype).name
            raise InvalidTensor(
                f"input {name!r}: got dtype {array.dtype.name}, expected {expected} for datatype "
                f"{datatype}; convert it with .astype(...)"
            )
        found = datatype
    if found == "BYTES":
        data = _encode_bytes(name, array)
        return RawTensor(found, array.shape, data, len(data))
    if not array.flags.c_contiguous:
        array = array.copy(order="C")
    if found == "BF16":  # bfloat16 of ml_dtypes has no buffer protocol
        array = array.view(np.uint16)
    elif array.dtype not in _DATATYPES:
        array = array.astype(_DTYPES[found])
    return RawTensor(found, array.shape, array, array.nbytes)


def decode_raw(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    """The array of one raw output: a read-only view of `data`, or for BYTES objects of bytes."""
    dims = tuple(shape)
    count = _element_count(name, dims)
    if datatype == "BYTES":
        return _as_objects(_split_bytes(name, data, count), dims)
    dtype = _reply_dtype(name, datatype)
    if count * dtype.itemsize != len(data):
        raise InvalidReply(
            f"output {name!r}: got {len(data)} bytes, expected {count * dtype.itemsize} for "
            f"{datatype} of shape {list(dims)}"
        )
    return np.frombuffer(data, dtype).reshape(dims)


def decode_typed(name: str, datatype: str, shape: Sequence[int], contents: Any) -> Array:
    """The array of an output that came in a typed field (an InferTensorContents message)."""
    dims = tuple(shape)
    count = _element_count(name, dims)
    dtype = _reply_dtype(name, datatype)
    field = _TYPED_FIELDS.get(datatype)
    if field is None:
        raise InvalidReply(f"output {name!r}: datatype {datatype} has no typed field")
    values = getattr(contents, field)
    if len(values) != count:
        raise InvalidReply(
            f"output {name!r}: got {len(values)} values in {field}, expected {count} for shape "
            f"{list(dims)}"
        )
    if datatype == "BYTES":
        return _as_objects(list(values), dims)
    return np.array(values, dtype).reshape(dims)


def _bfloat16() -> np.dtype[Any]:
    try:
        # Asked for by the first BF16 tensor, not by everybody: the package is optional.
        import ml_dtypes  # noqa: PLC0415
    except ImportError:
        return _DTYPES["UINT16"]
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def _reply_dtype(name: str, datatype: str) -> np.dtype[Any]:
    known = _DTYPES.get(datatype)
    if known is not None:
        return known
    try:
        return dtype_of(datatype)
    except InvalidTensor as error:
        raise InvalidReply(f"output {name!r}: {error}") from None


def _element_count(name: str, dims: tuple[int, ...]) -> int:
    if dims and min(dims) < 0:
        raise InvalidReply(f"output {name!r}: got shape {list(dims)}, expected no negative axis")
    return math.prod(dims)


def _unusual_datatype(name: str, array: Array) -> str:
    dtype = array.dtype
    if dtype.kind in _TEXT_KINDS:
        return "BYTES"
    if dtype.name == "bfloat16":
        return "BF16"
    swapped = _DATATYPES.get(dtype.newbyteorder("<"))
    if swapped is not None:
        return swapped
    known = ", ".join(known.name for known in _DTYPES.values())
    raise InvalidTensor(
        f"input {name!r}: got dtype {dtype.name}, expected one of {known}, bfloat16, or bytes or "
        "str elements; convert it with .astype(...)"
    )


def _encode_bytes(name: str, array: Array) -> bytes:
    parts: list[bytes] = []
    pack = struct.Struct("<I").pack
    for index, element in enumerate(array.ravel().tolist()):
        if isinstance(element, str):
            encoded = element.encode()
        elif isinstance(element, bytes):
            encoded = element
        elif isinstance(element, bytearray | memoryview):
            encoded = bytes(element)
        else:
            raise InvalidTensor(
                f"input {name!r}: element {index} is {type(element).__name__}, expected bytes or "
                "str in an array of objects; for numbers use a numeric dtype"
            )
        parts += (pack(len(encoded)), encoded)
    return b"".join(parts)


def _split_bytes(name: str, data: bytes | memoryview, count: int) -> list[bytes]:
    elements: list[bytes] = []
    length_at = struct.Struct("<I").unpack_from
    offset = 0
    end = len(data)
    while offset < end:
        if end - offset < 4:  # noqa: PLR2004 - a length word
            raise InvalidReply(f"output {name!r}: BYTES end inside a length at byte {offset}")
        (length,) = length_at(data, offset)
        offset += 4
        if length > end - offset:
            raise InvalidReply(
                f"output {name!r}: BYTES element {len(elements)} claims {length} bytes, "
                f"{end - offset} are left"
            )
        elements.append(bytes(data[offset : offset + length]))
        offset += length
    if len(elements) != count:
        raise InvalidReply(f"output {name!r}: got {len(elements)} BYTES elements, expected {count}")
    return elements


def _as_objects(elements: list[bytes], dims: tuple[int, ...]) -> Array:
    # np.array(elements, dtype=object) would look into the elements for a deeper shape.
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(dims)
