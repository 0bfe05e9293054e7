"""docs/model.md and docs/triton.md name every key and every field that there is."""

import re
from pathlib import Path

import msgspec
import pytest

from fastserve.model_config import (
    PROVIDER_OPTIONS,
    SESSION_ENTRIES,
    FeatureConfig,
    ModelConfig,
    QueuePolicy,
    TensorConfig,
    parse_model_config,
)
from fastserve.models.triton_fields import FIELDS

DOCS = Path(__file__).parents[2] / "docs"
MODEL = (DOCS / "model.md").read_text()
TRITON = (DOCS / "triton.md").read_text()


def keys():
    for field in msgspec.structs.fields(ModelConfig):
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from (f"{field.name}.{each.name}" for each in msgspec.structs.fields(inner))
        elif isinstance(field.default_factory, type):
            yield f"{field.name}.NAME"
        else:
            yield field.name
    yield from (field.name for field in msgspec.structs.fields(QueuePolicy))
    yield from (f"tensors.NAME.{field.name}" for field in msgspec.structs.fields(TensorConfig))
    yield from (f"features.NAME.{field.name}" for field in msgspec.structs.fields(FeatureConfig))


@pytest.mark.parametrize(
    "key", sorted({*keys()} - {"tensors.NAME", "features.NAME", "queue.levels"})
)
def test_page_of_model_toml_names_the_key(key):
    assert f"`{key}`" in MODEL


def test_page_of_model_toml_names_the_entries_of_the_session_that_may_be_set():
    listed = MODEL.partition("## Entries of the session")[2].split("```")[1]
    assert sorted(listed.split()) == sorted(SESSION_ENTRIES)


def test_page_of_model_toml_names_the_options_of_providers_that_may_be_set():
    block = MODEL.partition("## Options of providers")[2].split("```")[1]
    # A provider's name, then its options, to the next name.
    parts = re.split(r"^(\w+) ", block.strip(), flags=re.MULTILINE)[1:]
    listed = {
        name: re.findall(r"\w+", options)
        for name, options in zip(parts[::2], parts[1::2], strict=True)
    }
    assert listed == {name: sorted(known) for name, known in PROVIDER_OPTIONS.items() if known}


def test_page_of_model_toml_names_no_key_that_is_not_there():
    groups = {key.split(".")[0] for key in keys() if "." in key}
    named = re.findall(rf"`((?:{'|'.join(groups)})\.[\w.]+)`", MODEL)
    assert set(named) - {*keys()} == {"queue.levels.N"}


def test_example_of_model_toml_is_read():
    (example,) = re.findall(r"```toml\n(.*?)```", MODEL, re.DOTALL)
    config = parse_model_config(example.encode(), name="model.toml")
    assert config.queue.levels["1"].timeout_us == 5000


@pytest.mark.parametrize("kind", ["ModelConfig", "ModelDynamicBatching", "ModelOptimizationPolicy"])
def test_page_of_triton_names_every_field(kind):
    text = re.sub(r"```.*?```", "", TRITON, flags=re.DOTALL)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", text))))
    assert set(FIELDS[kind]) - named == set()
