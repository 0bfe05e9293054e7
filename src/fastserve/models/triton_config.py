"""Triton's config.pbtxt, as fastserve's configuration of a model. docs/triton.md is the whole map.

Nothing is dropped in silence: what cannot be honoured is refused with its line, what has no effect
here is listed with the reason. Which is which, triton_fields.py says field by field.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from fastserve.config import convert
from fastserve.errors import quoted
from fastserve.model_config import MODEL_FILE, ModelConfig, file_name_problem
from fastserve.models.model_settings import TRITON_FILE
from fastserve.models.triton_batching import read_batching, read_queue, read_versions
from fastserve.models.triton_fields import apply_rules
from fastserve.models.triton_json import parse_json
from fastserve.models.triton_lines import FieldLines
from fastserve.models.triton_reading import Reading
from fastserve.models.triton_runtime import read_runtime
from fastserve.models.triton_tensors import (
    Declarations,
    GraphTensor,
    TensorDeclaration,
    compare_declarations,
    note_optional,
    read_tensors,
)
from fastserve.models.triton_text import parse_text
from fastserve.models.triton_warmup import WarmupRequest, read_warmup

PLATFORM: Final = "onnxruntime_onnx"
BACKEND: Final = "onnxruntime"
# What messages call the JSON: the parameter that brings it.
JSON_NAME: Final = "config"


class TritonConfig(msgspec.Struct, frozen=True):
    """What a ModelConfig says, in fastserve's terms."""

    config: ModelConfig
    # "config.pbtxt:12: metric_tags: ...", in the order of the text.
    ignored: tuple[str, ...]
    inputs: tuple[TensorDeclaration, ...]
    outputs: tuple[TensorDeclaration, ...]
    warmup: tuple[WarmupRequest, ...]


def read_triton_config(data: bytes, *, name: str) -> TritonConfig:
    """The config.pbtxt of the model `name`. Errors: InvalidConfig with the line."""
    message, text = parse_text(data, name=TRITON_FILE)
    return _read(Reading(message, name=TRITON_FILE, lines=FieldLines(text)), name)


def triton_config_from_json(text: str, *, name: str) -> TritonConfig:
    """The ModelConfig that comes with RepositoryModelLoad. Errors: InvalidConfig with the path."""
    return _read(Reading(parse_json(text, name=JSON_NAME), name=JSON_NAME, lines=None), name)


def compare_signature(
    config: TritonConfig, inputs: Sequence[GraphTensor], outputs: Sequence[GraphTensor]
) -> list[str]:
    """What the configuration says otherwise than the graph; empty when they agree."""
    return compare_declarations(
        Declarations(inputs=config.inputs, outputs=config.outputs),
        inputs,
        outputs,
        has_rows=config.config.max_request_rows is not None,
    )


def note_signature(config: TritonConfig, inputs: Sequence[GraphTensor]) -> list[str]:
    """What the configuration says of inputs and cannot be had; each is a note, and no problem."""
    return note_optional(config.inputs, inputs)


def _read(reading: Reading, name: str) -> TritonConfig:
    apply_rules(reading)
    _check_identity(reading, name)
    declared = read_tensors(reading)
    batching, max_request_rows = read_batching(reading)
    config = ModelConfig(
        batching=batching,
        queue=read_queue(reading),
        runtime=read_runtime(reading),
        versions=read_versions(reading),
        tensors=declared.tensors,
        model_file=_model_file(reading),
        max_request_rows=max_request_rows,
    )
    warmup = read_warmup(reading, declared)
    return TritonConfig(
        # Bounds that the parts did not check are checked here, as those of a model.toml are.
        config=convert(msgspec.to_builtins(config), ModelConfig, source=reading.name),
        ignored=reading.ignored,
        inputs=declared.inputs,
        outputs=declared.outputs,
        warmup=warmup,
    )


def _check_identity(reading: Reading, name: str) -> None:
    message = reading.message
    if message.name and message.name != name:
        raise reading.refused(
            ("name",), f"{quoted(message.name)} differs from the model's folder, {quoted(name)}"
        )
    if message.platform not in ("", PLATFORM):
        raise reading.refused(
            ("platform",), f"{quoted(message.platform)} is not served, expected '{PLATFORM}'"
        )
    if message.backend not in ("", BACKEND):
        raise reading.refused(
            ("backend",), f"{quoted(message.backend)} is not served, expected '{BACKEND}'"
        )


def _model_file(reading: Reading) -> str:
    file = reading.message.default_model_filename or MODEL_FILE
    problem = file_name_problem(file)
    if problem:
        raise reading.refused(("default_model_filename",), problem)
    return file
