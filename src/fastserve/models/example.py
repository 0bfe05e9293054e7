"""Requests kept as files in a version's folder: `warmup/*` and `golden/*`, as .npz or .json.

An .npz holds one array for each tensor, by name; in `golden/` the answer's arrays are named
`output:NAME`, or just by the output's name where no input has it. A .json file is a request of the
protocol's REST form: {"inputs": [{"name", "datatype", "shape", "data"}], "outputs": [...]}, data
flat or nested.

numpy is imported only when such files exist.
"""

import io
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fastserve._core import core
from fastserve.errors import ArtifactCorrupt, quoted
from fastserve.models.datatypes import NUMPY_NAMES

if TYPE_CHECKING:
    import numpy as np

_OUTPUT: Final = "output:"


class Example(msgspec.Struct, frozen=True):
    """One request, and the answer it should get (empty in `warmup/`). Arrays by tensor name."""

    name: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


def read_example(name: str, data: bytes, inputs: tuple[core.TensorSpec, ...]) -> Example:
    """The example in a file's bytes. Errors: ArtifactCorrupt with the file's name."""
    try:
        arrays, answers = _read_json(data) if name.endswith(".json") else _read_npz(data, inputs)
    except ArtifactCorrupt as error:
        raise ArtifactCorrupt(f"{name}: {error.message}") from error
    except Exception as error:  # readers of zip, numpy and JSON raise what they like
        raise ArtifactCorrupt(f"{name}: cannot be read as a request: {error}") from error
    return Example(name, arrays, answers)


def wire_inputs(
    example: Example, specs: tuple[core.TensorSpec, ...]
) -> list[tuple[tuple[int, ...], bytes]]:
    """Shape and raw bytes of each input in the signature's order. Errors: ArtifactCorrupt."""
    missing = [spec.name for spec in specs if spec.name not in example.inputs]
    if missing:
        raise ArtifactCorrupt(
            f"{example.name}: lacks input {quoted(missing[0])}; it has "
            f"{', '.join(map(quoted, example.inputs)) or 'none'}"
        )
    return [_wire(example.name, spec, example.inputs[spec.name]) for spec in specs]


def array_of(datatype: str, shape: tuple[int, ...], data: bytes) -> "np.ndarray[Any, Any]":
    """A raw tensor as an array; BYTES as an array of bytes objects."""
    import numpy as np  # noqa: PLC0415 - only where examples exist

    if datatype != "BYTES":
        return np.frombuffer(data, dtype=NUMPY_NAMES[datatype]).reshape(shape)
    values: list[bytes] = []
    position = 0
    while position < len(data):
        end = position + 4 + int.from_bytes(data[position : position + 4], "little")
        values.append(data[position + 4 : end])
        position = end
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _read_npz(
    data: bytes, inputs: tuple[core.TensorSpec, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    import zipfile  # noqa: PLC0415 - only where examples exist

    import numpy as np  # noqa: PLC0415

    names = {spec.name for spec in inputs}
    arrays: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            for key in archive.files:
                if key in names:
                    arrays[key] = archive[key]
                else:
                    answers[key.removeprefix(_OUTPUT)] = archive[key]
    except zipfile.BadZipFile as error:
        raise ArtifactCorrupt(f"is not an .npz file: {error}") from error
    return arrays, answers


def _read_json(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    document = json.loads(data)
    return _tensors(document["inputs"]), _tensors(document.get("outputs", []))


def _tensors(entries: Any) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - only where examples exist

    found: dict[str, Any] = {}
    for entry in entries:
        datatype, shape = entry["datatype"], tuple(entry["shape"])
        if datatype == "BYTES":
            array = np.empty(0, dtype=object)
            flat = [
                str(value).encode() for value in np.asarray(entry["data"], dtype=object).ravel()
            ]
            array = np.empty(len(flat), dtype=object)
            array[:] = flat
        elif datatype in NUMPY_NAMES:
            array = np.asarray(entry["data"], dtype=NUMPY_NAMES[datatype])
        else:
            raise ArtifactCorrupt(f"tensor {quoted(entry['name'])} has datatype {quoted(datatype)}")
        found[entry["name"]] = array.reshape(shape)
    return found


def _wire(name: str, spec: core.TensorSpec, array: Any) -> tuple[tuple[int, ...], bytes]:
    import numpy as np  # noqa: PLC0415 - only where examples exist

    array = np.asarray(array)
    if spec.datatype == "BYTES":
        values = [
            value if isinstance(value, bytes) else str(value).encode() for value in array.ravel()
        ]
        data = b"".join(len(value).to_bytes(4, "little") + value for value in values)
        return array.shape, data
    expected = NUMPY_NAMES.get(spec.datatype)
    if expected is None or array.dtype != np.dtype(expected):
        raise ArtifactCorrupt(
            f"{name}: input {quoted(spec.name)} is {array.dtype}, "
            f"expected {expected or 'raw bytes'} ({spec.datatype})"
        )
    return array.shape, np.ascontiguousarray(array).tobytes()
