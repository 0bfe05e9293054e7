"""A profile that is put into a folder is read with it, manifest or not."""

import pytest

from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.models.manifest import (
    MANIFEST_FILE,
    decode_manifest,
    describe_files,
    encode_manifest,
)
from fastserve.models.pinned import PROFILE_FILE, pin_version
from fastserve.models.version_profile import write_profile

MOST = 1 << 24


@pytest.fixture
def folder(tmp_path, mlp):
    folder = tmp_path / "m" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(mlp)
    return folder


@pytest.fixture
def published(folder, mlp):
    manifest = describe_files({"model.onnx": mlp}, {"commit": "2f1c"})
    (folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
    return folder


def pinned(folder):
    return pin_version(folder, folder.parents[1], max_bytes=MOST)


def test_profile_is_pinned_with_the_other_files(folder):
    before = pinned(folder).digest
    assert write_profile(folder, b"profile") == folder / PROFILE_FILE
    read = pinned(folder)
    assert read.files[PROFILE_FILE] == b"profile"
    assert read.digest != before


def test_profile_is_written_into_the_manifest(published):
    write_profile(published, b"profile")
    assert pinned(published).files[PROFILE_FILE] == b"profile"
    manifest = decode_manifest((published / MANIFEST_FILE).read_bytes())
    assert set(manifest.files) == {"model.onnx", PROFILE_FILE}
    assert manifest.lineage == {"commit": "2f1c"}


def test_profile_is_replaced_by_the_next_one(published):
    write_profile(published, b"profile")
    write_profile(published, b"another one")
    assert pinned(published).files[PROFILE_FILE] == b"another one"


def test_version_is_refused_between_the_two_writes_and_mended_by_the_next(published):
    (published / PROFILE_FILE).write_bytes(b"half way")
    with pytest.raises(ArtifactCorrupt, match=r"does not list 'reference\.profile'"):
        pinned(published)
    write_profile(published, b"profile")
    assert pinned(published).files[PROFILE_FILE] == b"profile"


def test_nothing_else_is_left_in_the_folder(published):
    write_profile(published, b"profile")
    assert {path.name for path in published.iterdir()} == {
        "model.onnx",
        MANIFEST_FILE,
        PROFILE_FILE,
    }


def test_damaged_manifest_is_left_as_it_is(published):
    (published / MANIFEST_FILE).write_text("{")
    with pytest.raises(ArtifactCorrupt):
        write_profile(published, b"profile")
    assert not (published / PROFILE_FILE).exists()


def test_link_in_the_profiles_place_is_not_followed(folder, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    (folder / PROFILE_FILE).symlink_to(other)
    with pytest.raises(ArtifactCorrupt, match="is not a regular file"):
        write_profile(folder, b"profile")
    assert other.read_bytes() == b"precious"


def test_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be written"):
        write_profile(tmp_path / "m" / "9", b"profile")
