"""The configuration of a model's folder: its model.toml or its config.pbtxt, or neither."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fastserve.config import read_regular_file
from fastserve.errors import InvalidConfig
from fastserve.model_config import MAX_CONFIG_BYTES, ModelConfig, parse_model_config

# Reading Triton's format takes longer to import than the rest of the settings together, and most
# repositories have none of it.
if TYPE_CHECKING:
    from fastserve.models.triton_config import TritonConfig
    from fastserve.models.triton_warmup import WarmupRequest

TOML_FILE: Final = "model.toml"
TRITON_FILE: Final = "config.pbtxt"


class ModelSettings(msgspec.Struct, frozen=True):
    """What a model is told, and by which bytes."""

    config: ModelConfig = ModelConfig()
    # What a config.pbtxt asks for and has no effect, with the reasons.
    ignored: tuple[str, ...] = ()
    warmup: "tuple[WarmupRequest, ...]" = ()
    # Name of the file, and the hash of what was read; both empty without one.
    source: str = ""
    sha256: str = ""
    # For `compare_signature`; None unless the source is a config.pbtxt.
    triton: "TritonConfig | None" = None


def read_settings_of_model(folder: Path, root: Path) -> ModelSettings:
    """What the folder `folder` of a model says, read once. `root` is the repository.

    Errors: InvalidConfig with file, place and fix; also when there are both files, since which of
    them counts would be a guess.
    """
    found = [name for name in (TOML_FILE, TRITON_FILE) if os.path.lexists(folder / name)]
    if not found:
        return ModelSettings()
    if len(found) > 1:
        raise InvalidConfig(
            f"{folder.name} has both {TOML_FILE} and {TRITON_FILE}, which are not merged: remove "
            "or hide one (a name that begins with a dot is hidden)"
        )
    source = found[0]
    data = read_regular_file(folder / source, name=source, max_bytes=MAX_CONFIG_BYTES, root=root)
    sha256 = hashlib.sha256(data).hexdigest()
    if source == TOML_FILE:
        config = parse_model_config(data, name=source)
        return ModelSettings(config=config, source=source, sha256=sha256)
    from fastserve.models.triton_config import read_triton_config  # noqa: PLC0415 - see above

    return _of_triton(read_triton_config(data, name=folder.name), source, sha256)


def settings_from_json(text: str, *, name: str) -> ModelSettings:
    """What the ModelConfig in `text` says of the model `name`. Errors: InvalidConfig."""
    from fastserve.models.triton_config import (  # noqa: PLC0415 - see above
        JSON_NAME,
        triton_config_from_json,
    )

    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return _of_triton(triton_config_from_json(text, name=name), JSON_NAME, sha256)


def _of_triton(triton: "TritonConfig", source: str, sha256: str) -> ModelSettings:
    return ModelSettings(
        config=triton.config,
        ignored=triton.ignored,
        warmup=triton.warmup,
        source=source,
        sha256=sha256,
        triton=triton,
    )
