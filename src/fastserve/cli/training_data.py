"""Training rows from a file: parquet, CSV or .npz, as the inputs of a model.

Columns are found by name: a tensor's (`x`), an element's (`x[3]`), or the label that model.toml
gives to a feature. Without any such name, a model of one input takes the columns in their order,
all of them or those that were chosen. Other columns, a target say, are left out and named. A cell
that is empty is a missing value where the datatype has one: NaN, or the empty text.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from fastserve.cli.conversion import convert
from fastserve.cli.source import load_csv, load_npz
from fastserve.client import TensorMetadata
from fastserve.client.tensors import Array
from fastserve.errors import InvalidTensor, Unsupported, quoted

_INDEXED: Final = re.compile(r"(?P<name>.+)\[(?P<index>\d{1,9})\]")
_FLOATS: Final = ("FP16", "FP32", "FP64", "BF16")


class TrainingData(NamedTuple):
    """Arrays by input, all of as many rows; labels by feature; columns that were not used."""

    arrays: dict[str, Array]
    labels: dict[str, str]
    left_out: tuple[str, ...]


def read_training(
    path: Path,
    inputs: Sequence[TensorMetadata],
    *,
    columns: Sequence[str] = (),
    labels: Mapping[str, str] = {},
) -> TrainingData:
    """The rows of a file. `columns`: take these alone, in this order; `labels`: by feature.

    Errors: InvalidTensor naming the file, what it got and what it expected; Unsupported for parquet
    without pyarrow.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _from_arrays(path, load_npz(path), inputs)
    if kind == ".csv":
        header, rows = load_csv(path)
        table = {
            name: np.array([row[at] for row in rows], dtype=object)
            for at, name in enumerate(header)
        }
    elif kind in (".parquet", ".pq"):
        table = _read_parquet(path)
    else:
        raise InvalidTensor(f"{path}: expected a file that ends in .parquet, .csv or .npz")
    if columns:
        missing = [name for name in columns if name not in table]
        if missing:
            raise InvalidTensor(f"{path}: has no column {quoted(missing[0])}; {_has(table)}")
        table = {name: table[name] for name in columns}
    return _from_table(path, table, inputs, {label: name for name, label in labels.items()})


def _from_arrays(
    path: Path, arrays: dict[str, Any], inputs: Sequence[TensorMetadata]
) -> TrainingData:
    names = [tensor.name for tensor in inputs]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InvalidTensor(f"{path}: has no array {quoted(missing[0])}; {_has(arrays)}")
    found = {tensor.name: convert(arrays[tensor.name], tensor) for tensor in inputs}
    left_out = tuple(name for name in arrays if name not in names)
    return TrainingData(_checked(path, found), {}, left_out)


def _from_table(
    path: Path,
    table: dict[str, Array],
    inputs: Sequence[TensorMetadata],
    features: Mapping[str, str],
) -> TrainingData:
    """`features`: the feature of each label."""
    owned: dict[str, list[tuple[int, str]]] = {}
    left_out = []
    for column in table:
        owner = _owner(features.get(column, column), {tensor.name for tensor in inputs})
        if owner is None:
            left_out.append(column)
        else:
            owned.setdefault(owner[0], []).append((owner[1], column))
    if not owned and len(inputs) == 1:
        return _in_order(path, table, inputs[0])
    arrays: dict[str, Array] = {}
    labels: dict[str, str] = {}
    for tensor in inputs:
        if tensor.name not in owned:
            raise InvalidTensor(
                f"{path}: no column is for input {quoted(tensor.name)}; {_has(table)}"
            )
        chosen = [column for _, column in sorted(owned[tensor.name])]
        arrays[tensor.name] = _stack(path, table, chosen, tensor)
        labels |= {features[each]: each for each in chosen if each in features}
    return TrainingData(_checked(path, arrays), labels, tuple(left_out))


def _in_order(path: Path, table: dict[str, Array], tensor: TensorMetadata) -> TrainingData:
    row = tensor.shape[1:]
    width = int(np.prod(row)) if row else 1
    names = list(table)
    if width > 0 and len(names) != width:
        raise InvalidTensor(
            f"{path}: got {len(names)} columns, expected {width}, one for each value of a row of "
            f"input {quoted(tensor.name)}; choose them with --columns, or name them "
            f"{tensor.name}[0], {tensor.name}[1], ...; {_has(table)}"
        )
    labels = {f"{tensor.name}[{at}]": name for at, name in enumerate(names)}
    if len(names) == 1:
        labels = {tensor.name: names[0]}
    arrays = {tensor.name: _stack(path, table, names, tensor)}
    return TrainingData(_checked(path, arrays), labels, ())


def _stack(
    path: Path, table: dict[str, Array], columns: list[str], tensor: TensorMetadata
) -> Array:
    """Columns side by side, in the tensor's datatype."""
    parts = [_without_gaps(path, name, table[name], tensor) for name in columns]
    values = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
    row = tensor.shape[1:]
    if values.ndim == 1 and row:
        values = values[:, np.newaxis]
    return convert(values, tensor)


def _without_gaps(path: Path, name: str, values: Array, tensor: TensorMetadata) -> Array:
    if values.dtype != object:
        return values
    empty = np.array([value is None or value == "" for value in values], dtype=bool)
    if not empty.any():
        return values
    if tensor.datatype in _FLOATS:
        filler: Any = "nan"
    elif tensor.datatype == "BYTES":
        filler = ""
    else:
        raise InvalidTensor(
            f"{path}: column {quoted(name)} lacks a value in row {int(np.argmax(empty)) + 1}, and "
            f"{tensor.datatype} of input {quoted(tensor.name)} has none for that"
        )
    filled = values.copy()
    filled[empty] = filler
    return filled


def _owner(column: str, names: set[str]) -> tuple[str, int] | None:
    """The input of a column, and the element."""
    if column in names:
        return column, 0
    match = _INDEXED.fullmatch(column)
    return (match["name"], int(match["index"])) if match and match["name"] in names else None


def _read_parquet(path: Path) -> dict[str, Array]:
    try:
        import pyarrow.parquet  # noqa: PLC0415 - an extra
    except ImportError:
        raise Unsupported(
            f"{path}: parquet needs pyarrow: pip install 'fastserve[capture]'"
        ) from None
    try:
        read = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise InvalidTensor(f"{path}: cannot be read as parquet: {error}") from error
    return {name: _column(path, name, read.column(name)) for name in read.column_names}


def _column(path: Path, name: str, column: Any) -> Array:
    """Numbers as numpy has them, lists as rows, everything else as objects; nulls stay."""
    import pyarrow.types  # noqa: PLC0415 - an extra

    kind = column.type
    if pyarrow.types.is_list(kind) or pyarrow.types.is_fixed_size_list(kind):
        try:
            return np.array(column.to_pylist())
        except ValueError:
            raise InvalidTensor(
                f"{path}: column {quoted(name)} has lists of unequal lengths"
            ) from None
    is_plain = pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)
    if is_plain and not column.null_count:
        array: Array = column.to_numpy()
        return array
    values = np.empty(len(column), dtype=object)
    values[:] = column.to_pylist()
    return values


def _checked(path: Path, arrays: dict[str, Array]) -> dict[str, Array]:
    counts = {name: len(array) if array.ndim else 1 for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InvalidTensor(f"{path}: inputs have different numbers of rows: {shown}")
    if not any(counts.values()):
        raise InvalidTensor(f"{path}: holds no row")
    return arrays


def _has(names: Mapping[str, Any]) -> str:
    shown = ", ".join(map(quoted, list(names)[:8]))
    return f"it has {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")  # noqa: PLR2004 - as many as above
