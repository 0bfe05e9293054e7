"""Inputs of an inference from files and the command line: JSON, CSV, .npy and .npz."""

import csv
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from fastserve.cli.conversion import convert
from fastserve.client import ModelMetadata, TensorMetadata
from fastserve.client.tensors import Array
from fastserve.errors import InvalidTensor

# A column of an array with several: name[3]. What `infer --format csv` writes.
_INDEXED: Final = re.compile(r"(?P<name>.+)\[(?P<index>\d+)\]")


def read_inputs(
    metadata: ModelMetadata, data: Path | None, named: tuple[str, ...]
) -> dict[str, Array]:
    """Every input of the model from `--data` and from `--input name=value`, which goes first.

    Errors: InvalidTensor naming the file or the input, what it got and what it expected.
    """
    signature = {tensor.name: tensor for tensor in metadata.inputs}
    values: dict[str, Any] = {} if data is None else _read_data(data, metadata)
    for text in named:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidTensor(f"--input {text!r}: expected NAME=@FILE or NAME=JSON")
        values[name] = _read_value(name, value)
    unknown = sorted(set(values) - set(signature))
    if unknown:
        raise InvalidTensor(
            f"model {metadata.name!r} has no input {', '.join(map(repr, unknown))}; "
            f"its inputs are: {_describe(metadata)}"
        )
    missing = sorted(set(signature) - set(values))
    if missing:
        raise InvalidTensor(
            f"no data for input {', '.join(map(repr, missing))} of model {metadata.name!r}; "
            f"its inputs are: {_describe(metadata)}"
        )
    return {name: convert(values[name], tensor) for name, tensor in signature.items()}


def _read_data(path: Path, metadata: ModelMetadata) -> dict[str, Any]:
    kind = path.suffix.lower()
    if kind == ".json":
        return _from_json(path, _load_json(path), metadata)
    if kind == ".csv":
        return _from_csv(path, metadata)
    if kind == ".npz":
        return load_npz(path)
    if kind == ".npy":
        return {_only_input(path, metadata).name: _load_npy(path)}
    raise InvalidTensor(f"{path}: expected a file that ends in .json, .csv, .npz or .npy")


def _read_value(name: str, value: str) -> Any:
    if not value.startswith("@"):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise InvalidTensor(
                f"input {name!r}: {value!r} is not JSON ({error.msg}); "
                "a file is given as NAME=@FILE, text as '[\"text\"]'"
            ) from None
    path = Path(value[1:])
    kind = path.suffix.lower()
    if kind == ".npy":
        return _load_npy(path)
    if kind == ".json":
        return _load_json(path)
    if kind == ".csv":
        header, rows = load_csv(path)
        return _columns(rows, list(range(len(header))))
    raise InvalidTensor(f"input {name!r}: {path}: expected a .npy, .json or .csv file")


def _from_json(path: Path, value: Any, metadata: ModelMetadata) -> dict[str, Any]:
    """The protocol's own form, {"name": values}, or the values of the only input."""
    if isinstance(value, Mapping) and isinstance(value.get("inputs"), list):
        return dict(_protocol_tensor(path, tensor) for tensor in value["inputs"])
    if isinstance(value, Mapping):
        return dict(value)
    return {_only_input(path, metadata).name: value}


def _protocol_tensor(path: Path, tensor: Any) -> tuple[str, Any]:
    if not isinstance(tensor, Mapping) or "name" not in tensor or "data" not in tensor:
        raise InvalidTensor(
            f'{path}: each of "inputs" needs "name" and "data"; '
            '"shape" is needed when the data is flat'
        )
    values = tensor["data"]
    shape = tensor.get("shape")
    if shape is None:
        return tensor["name"], values
    array = np.asarray(values)
    if array.dtype.kind in "SU":
        array = np.asarray(values, dtype=object)
    try:
        return tensor["name"], array.reshape(shape)
    except (ValueError, TypeError):
        raise InvalidTensor(
            f"{path}: input {tensor['name']!r} has {array.size} values, expected shape {shape}"
        ) from None


def _from_csv(path: Path, metadata: ModelMetadata) -> dict[str, Any]:
    """Columns by input name where the header names inputs, else the features of the only input."""
    header, rows = load_csv(path)
    names = {tensor.name for tensor in metadata.inputs}
    owners = [_owner(column, names) for column in header]
    if all(owners):
        return {
            name: _columns(rows, [at for at, owner in enumerate(owners) if owner == name])
            for name in dict.fromkeys(owner for owner in owners if owner)
        }
    if len(metadata.inputs) != 1:
        strange = [column for column, owner in zip(header, owners, strict=True) if not owner]
        raise InvalidTensor(
            f"{path}: columns {', '.join(map(repr, strange[:5]))} are no inputs of model "
            f"{metadata.name!r}, expected columns of: {_describe(metadata)}"
        )
    only = metadata.inputs[0]
    width = int(np.prod(only.shape[1:])) if len(only.shape) > 1 else 1
    if width > 0 and width != len(header):
        raise InvalidTensor(
            f"{path}: got {len(header)} columns, expected {width}, one for each value of a row of "
            f"input {_describe(metadata)}"
        )
    return {only.name: _columns(rows, list(range(len(header))))}


def _owner(column: str, names: set[str]) -> str | None:
    if column in names:
        return column
    match = _INDEXED.fullmatch(column)
    return match["name"] if match and match["name"] in names else None


def _columns(rows: list[list[str]], places: list[int]) -> Array:
    """The cells of some columns as rows of text."""
    cells = np.empty((len(rows), len(places)), dtype=object)
    for number, row in enumerate(rows):
        cells[number] = [row[at] for at in places]
    return cells


def load_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows; every row as long as the header."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidTensor(f"{path}: cannot be read as CSV: {error}") from error
    if not lines:
        raise InvalidTensor(f"{path}: is empty, expected a header line and rows")
    header, *rows = lines
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise InvalidTensor(
                f"{path}: row {number} has {len(row)} values, expected {len(header)} as the header"
            )
    return [column.strip() for column in header], rows


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidTensor(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidTensor(f"{path}: is not JSON: {error}") from error


def _load_npy(path: Path) -> Array:
    try:
        array: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidTensor(f"{path}: cannot be read as .npy: {error}") from error
    return array


def load_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise InvalidTensor(f"{path}: cannot be read as .npz: {error}") from error


def _only_input(path: Path, metadata: ModelMetadata) -> TensorMetadata:
    if len(metadata.inputs) != 1:
        raise InvalidTensor(
            f"{path} holds one array and model {metadata.name!r} has several inputs: "
            f"{_describe(metadata)}; use --input NAME=@FILE for each"
        )
    return metadata.inputs[0]


def _describe(metadata: ModelMetadata) -> str:
    return ", ".join(
        f"{tensor.name} {tensor.datatype} {list(tensor.shape)}" for tensor in metadata.inputs
    )
