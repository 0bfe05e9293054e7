"""Values of files as arrays of the datatypes and shapes that a model's signature asks for."""

import math
from typing import Any, Final

import numpy as np

from fastserve.client import TensorMetadata
from fastserve.client.tensors import Array, dtype_of
from fastserve.errors import InvalidTensor

_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}


def convert(values: Any, tensor: TensorMetadata) -> Array:
    """`values` (nested lists, text or an array) in `tensor`'s datatype, with its number of axes.

    Errors: InvalidTensor naming the input, what it got and what it expected. A value is never
    changed beyond what a floating-point datatype rounds.
    """
    return _fit_shape(_to_datatype(values, tensor), tensor)


def _to_datatype(values: Any, tensor: TensorMetadata) -> Array:
    dtype = dtype_of(tensor.datatype)
    if tensor.datatype == "BF16" and dtype.kind != "V":
        raise InvalidTensor(
            f"input {tensor.name!r} is BF16, which needs ml_dtypes: pip install ml_dtypes"
        )
    source = _as_array(values, tensor)
    if tensor.datatype == "BYTES":
        if source.dtype.kind not in "OSUT":
            raise InvalidTensor(
                f"input {tensor.name!r}: got numbers, expected text (BYTES); quote the values"
            )
        return source.astype(object)
    if source.dtype.kind in "OSUT":
        return _parse(source, dtype, tensor)
    return _cast(source, dtype, tensor)


def _as_array(values: Any, tensor: TensorMetadata) -> Array:
    if isinstance(values, np.ndarray):
        return values
    try:
        source = np.asarray(values)
        if source.dtype.kind in "SU":
            source = np.asarray(values, dtype=object)
    except (ValueError, OverflowError) as error:
        raise InvalidTensor(
            f"input {tensor.name!r}: got lists of unequal lengths, expected a full array of "
            f"shape {list(tensor.shape)}"
        ) from error
    return source


def _parse(source: Array, dtype: np.dtype[Any], tensor: TensorMetadata) -> Array:
    """Numbers from text, cell by cell, so that an error can name its place."""
    flat = np.empty(source.size, dtype)
    for index, cell in enumerate(source.ravel().tolist()):
        try:
            flat[index] = _parse_cell(cell, dtype)
        except (ValueError, TypeError, OverflowError):
            place = [int(at) for at in np.unravel_index(index, source.shape)]
            raise InvalidTensor(
                f"input {tensor.name!r}: got {cell!r} at {place}, expected {tensor.datatype}"
            ) from None
    return flat.reshape(source.shape)


def _parse_cell(cell: Any, dtype: np.dtype[Any]) -> Any:
    text = cell.strip().lower() if isinstance(cell, str) else cell
    if dtype.kind == "b":
        return _TRUTHS[text] if text in _TRUTHS else _refuse(text)
    if dtype.kind in "iu":
        try:
            value = int(text)
        except ValueError:
            value = int(float(text))
            if float(text) != value:
                raise
        return value if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max else _refuse(text)
    return float(text)


def _refuse(text: Any) -> Any:
    raise ValueError(text)


def _cast(source: Array, dtype: np.dtype[Any], tensor: TensorMetadata) -> Array:
    if source.dtype == dtype:
        return source
    with np.errstate(all="ignore"):
        result = source.astype(dtype)
    if dtype.kind in "biu":
        changed = source != result
    else:
        changed = np.isinf(result.astype(np.float64)) & np.isfinite(source.astype(np.float64))
    if np.any(changed):
        value = source[changed].ravel()[0].item()
        raise InvalidTensor(
            f"input {tensor.name!r}: got {value} ({source.dtype.name}), expected values that "
            f"{tensor.datatype} can hold"
        )
    return result


def _fit_shape(array: Array, tensor: TensorMetadata) -> Array:
    """The array itself, one row without its outer list, or rows of flattened values."""
    rank = len(tensor.shape)
    if array.ndim == rank:
        return array
    row = tensor.shape[1:]
    is_row_known = all(dim >= 0 for dim in row)
    if array.ndim == rank - 1 and _matches(array.shape, row):
        return array[np.newaxis]
    if array.ndim == 2 and is_row_known and rank > 0 and array.shape[1] == math.prod(row):  # noqa: PLR2004
        return array.reshape(array.shape[0], *row)
    raise InvalidTensor(
        f"input {tensor.name!r}: got shape {list(array.shape)}, expected {list(tensor.shape)}"
    )


def _matches(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(dim in {size, -1} for size, dim in zip(shape, wanted, strict=True))
