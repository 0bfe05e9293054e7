"""A model's folder says how it is served: by one file, read once, never outside the repository."""

import hashlib
import os

import pytest

from fastserve.errors import InvalidConfig
from fastserve.model_config import ModelConfig
from fastserve.models.model_settings import ModelSettings, read_settings_of_model


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "repository" / "net"
    folder.mkdir(parents=True)
    return folder


def read(folder):
    return read_settings_of_model(folder, folder.parent)


def refused(folder):
    with pytest.raises(InvalidConfig) as error:
        read(folder)
    return error.value.message


def test_folder_without_a_file_has_defaults(folder):
    assert read(folder) == ModelSettings()
    assert read(folder).config == ModelConfig()


def test_model_toml_is_read_with_its_hash(folder):
    (folder / "model.toml").write_text("weight = 7\n")
    found = read(folder)
    assert (found.config.weight, found.source, found.triton) == (7, "model.toml", None)
    assert found.sha256 == hashlib.sha256(b"weight = 7\n").hexdigest()


def test_config_pbtxt_is_read_with_all_that_it_says(folder):
    text = b'name: "net"\nmax_batch_size: 8\nresponse_cache { enable: true }\nmodel_warmup { '
    text += b'inputs { key: "x" value { data_type: TYPE_FP32 zero_data: true } } }\n'
    (folder / "config.pbtxt").write_bytes(text)
    found = read(folder)
    assert (found.source, found.config.max_request_rows) == ("config.pbtxt", 8)
    assert found.sha256 == hashlib.sha256(text).hexdigest()
    assert found.ignored == (
        "config.pbtxt:3: response_cache.enable: fastserve has no response cache",
    )
    assert found.warmup[0].inputs["x"].kind == "zero"
    assert found.triton is not None


def test_both_files_are_refused(folder):
    (folder / "model.toml").write_text("")
    (folder / "config.pbtxt").write_text("")
    assert refused(folder) == (
        "net has both model.toml and config.pbtxt, which are not merged: remove or hide one (a "
        "name that begins with a dot is hidden)"
    )


@pytest.mark.parametrize("name", ["model.toml", "config.pbtxt"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "outside", "dangling", "large"])
def test_only_a_regular_file_inside_the_repository_is_read(folder, tmp_path, name, kind):
    path = folder / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"#" * ((1 << 20) + 1))
    else:
        outside = tmp_path / "outside"
        path.symlink_to(outside)
        if kind == "outside":
            outside.write_text("")
    expected = {
        "pipe": "is not a regular file",
        "folder": "is not a regular file",
        "outside": "leads out of the repository",
        "dangling": "cannot be opened: No such file or directory",
        "large": "has 1048577 bytes, more than the limit of 1048576",
    }[kind]
    assert refused(folder) == f"{name}: {expected}"


def test_config_pbtxt_must_carry_the_folders_name(folder):
    (folder / "config.pbtxt").write_text('name: "other"')
    assert refused(folder) == (
        "config.pbtxt:1: name: 'other' differs from the model's folder, 'net'"
    )
