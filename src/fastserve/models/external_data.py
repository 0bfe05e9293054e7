"""Tensors of an ONNX file that keep their data in other files: which files, which bytes of them.

Allowed are initializers of the main graph whose data lies in a plain file of the version's folder:
those are pinned like the model and handed to ONNX Runtime from memory, so that it never opens a
path that a model names. All else is refused, each with its reason.

Source: onnx.proto, TensorProto.external_data; ONNX Runtime's tensor_external_data_info.cc.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.errors import ArtifactCorrupt, Unsupported, from_core, quoted
from fastserve.models.manifest import file_name_problem

# How ONNX Runtime marks data at an address in its own memory ("*/_ORT_MEM_ADDR_/*" and, since
# 1.23, "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"). In a file it would read from wherever the file says.
_ADDRESS_MARK: Final = re.compile(r"^\*/|_MEM_ADDR_", re.IGNORECASE)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
# "checksum" is defined, and nobody looks at it.
_KEYS: Final = {"location", "offset", "length", "checksum"}
_ADVICE: Final = (
    "save the model as one file (onnx.save_model(model, path, save_as_external_data=False))"
)


class ExternalReference(msgspec.Struct, frozen=True):
    """A tensor's bytes in another file. `length` is None when the tensor's shape says it."""

    tensor: str
    file: str
    # As the model writes it, which is how ONNX Runtime asks for it.
    location: str
    offset: int = 0
    length: int | None = None


def read_facts(model: bytes | memoryview) -> core.OnnxFacts:
    """What the file says about itself. Errors: ArtifactCorrupt, Unsupported."""
    try:
        return core.read_onnx_facts(model)
    except core.CoreError as error:
        raise from_core(error) from error


def external_references(facts: core.OnnxFacts) -> tuple[ExternalReference, ...]:
    """Every reference, in the file's order. Errors: Unsupported, ArtifactCorrupt: which and why."""
    return tuple(_reference(tensor) for tensor in facts.external)


def check_ranges(references: Iterable[ExternalReference], sizes: Mapping[str, int]) -> None:
    """Errors: ArtifactCorrupt when a tensor's bytes reach beyond their file of `sizes[file]`."""
    for reference in references:
        size = sizes[reference.file]
        end = reference.offset + (reference.length or 0)
        if end > size:
            raise ArtifactCorrupt(
                f"tensor {quoted(reference.tensor)} lies at bytes {reference.offset} to {end} of "
                f"{quoted(reference.file)}, which has {size}"
            )


def _reference(tensor: core.ExternalTensor) -> ExternalReference:
    name = quoted(tensor.name)
    entries = dict(tensor.entries)
    location = entries.get("location", "")
    if _ADDRESS_MARK.search(location):
        raise ArtifactCorrupt(
            f"tensor {name} claims to lie at an address in memory ({quoted(location)}), which no "
            "file can know"
        )
    if not tensor.is_initializer:
        raise Unsupported(
            f"tensor {name} keeps its data in another file and is no initializer of the main "
            f"graph, which is refused: {_ADVICE}"
        )
    if len(entries) != len(tensor.entries):
        raise ArtifactCorrupt(f"tensor {name} says twice where its data lies")
    strange = sorted(set(entries) - _KEYS)
    if strange:
        raise Unsupported(
            f"tensor {name} has external data with the key {quoted(strange[0])}, which is refused: "
            f"{_ADVICE}"
        )
    file = location.removeprefix("./")
    problem = file_name_problem(file)
    if problem:
        raise ArtifactCorrupt(
            f"tensor {name} keeps its data in {quoted(location)}, which {problem}; {_ADVICE}"
        )
    return ExternalReference(
        tensor=tensor.name,
        file=file,
        location=location,
        offset=_number(name, "offset", entries) or 0,
        length=_number(name, "length", entries),
    )


def _number(name: str, key: str, entries: Mapping[str, str]) -> int | None:
    text = entries.get(key, "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise ArtifactCorrupt(
            f"tensor {name} has {quoted(text)} as the {key} of its data: expected a number of bytes"
        )
    return int(text)
