"""Does an ONNX file keep tensors in other files? A reader of just enough protobuf to tell.

Such files are refused: they name paths, and a model is loaded from memory so that what was checked
is what runs. ONNX Runtime's own message speaks of a missing file; ours names the tensor and the
fix.

Source: onnx.proto (field numbers below), https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator
from typing import Final

from fastserve.errors import ArtifactCorrupt

# message -> {field number: message of that field}; only what leads to a tensor.
_CHILDREN: Final[dict[str, dict[int, str]]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
}
_TENSOR_NAME: Final = 8
_TENSOR_EXTERNAL_DATA: Final = 13
_TENSOR_DATA_LOCATION: Final = 14
_EXTERNAL: Final = 1
# Wire types.
_VARINT: Final = 0
_BYTES: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}
# A varint holds 64 bits, seven a byte, the eighth says that more follow.
_MAX_SHIFT: Final = 63
_CONTINUES: Final = 0x80
# No graph that people make nests deeper; a file that does is an attack.
_MAX_DEPTH: Final = 64


def find_external_tensor(model: bytes) -> str | None:
    """The name of a tensor whose data lies elsewhere ("" without a name); None: there is none.

    Errors: ArtifactCorrupt when the file is not protobuf where it was looked at. Constant-time
    search first: external data needs the key "location", which hardly any other model contains.
    """
    if b"location" not in model:
        return None
    pending: list[tuple[str, memoryview, int]] = [("Model", memoryview(model), 0)]
    while pending:
        kind, data, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise ArtifactCorrupt(f"graphs are nested deeper than {_MAX_DEPTH}")
        if kind == "Tensor":
            name = _external_name(data)
            if name is not None:
                return name
            continue
        children = _CHILDREN[kind]
        pending += [
            (children[field], value, depth + 1)
            for field, value in _fields(data)
            if field in children and isinstance(value, memoryview)
        ]
    return None


def _external_name(tensor: memoryview) -> str | None:
    name, is_external = "", False
    for field, value in _fields(tensor):
        if field == _TENSOR_NAME and isinstance(value, memoryview):
            name = bytes(value[:200]).decode(errors="replace")
        elif field == _TENSOR_EXTERNAL_DATA or (
            field == _TENSOR_DATA_LOCATION and value == _EXTERNAL
        ):
            is_external = True
    return name if is_external else None


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield field, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:
            raise ArtifactCorrupt(f"not an ONNX file: wire type {wire} at byte {position}")
        if size > end - position:
            raise ArtifactCorrupt("truncated: a field is longer than what is left of the file")
        if wire == _BYTES:
            yield field, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift <= _MAX_SHIFT:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _CONTINUES:
            return value, position
        shift += 7
    raise ArtifactCorrupt("truncated or not an ONNX file: a number has no end")
