"""The repository's scan: names only, nothing skipped in silence, nothing outside ever opened."""

import os

import pytest

from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.models.repository import read_model_file, scan_repository

LIMIT = 1 << 20


def put(root, *versions, model="mlp", content=b"onnx"):
    for version in versions:
        folder = root / model / str(version)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)
    return root / model


def test_scan_finds_versions_in_numeric_order(tmp_path):
    put(tmp_path, 10, 9, 2)
    (model,) = scan_repository(tmp_path).models
    assert [version.number for version in model.versions] == [2, 9, 10]
    assert model.newest.path == tmp_path / "mlp" / "10" / "model.onnx"
    assert (model.problem, model.settings) == ("", None)


def test_scan_finds_settings_beside_the_versions(tmp_path):
    folder = put(tmp_path, 1)
    (folder / "model.toml").write_text("")
    (model,) = scan_repository(tmp_path).models
    assert model.settings == folder / "model.toml"


def test_scan_ignores_hidden_entries_and_loose_files(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 1, model=".uploading")
    (tmp_path / "README").write_text("")
    (tmp_path / "mlp" / ".2").mkdir()
    scan = scan_repository(tmp_path)
    assert [model.name for model in scan.models] == ["mlp"]
    assert scan.problems == ()


@pytest.mark.parametrize("name", ["0", "01", "-1", "9223372036854775808", "99999999999999999999"])
def test_scan_reports_a_folder_that_is_almost_a_version(tmp_path, name):
    folder = put(tmp_path, 1)
    (folder / name).mkdir()
    scan = scan_repository(tmp_path)
    assert [version.number for version in scan.models[0].versions] == [1]
    assert scan.problems[0][0] == f"mlp/{name}"


@pytest.mark.parametrize("name", ["a b", "a$", "ünicode", "-x", "a\nb", "a\\b"])
def test_scan_reports_a_folder_whose_name_cannot_be_a_model(tmp_path, name):
    (tmp_path / name).mkdir()
    scan = scan_repository(tmp_path)
    assert scan.models == ()
    assert scan.problems[0][0] == name


def test_scan_says_what_is_missing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow" / "1").mkdir(parents=True)
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "model.onnx").write_bytes(b"onnx")
    scan = scan_repository(tmp_path)
    found = {model.name: model for model in scan.models}
    assert "has no version" in found["empty"].problem
    assert found["hollow"].versions[0].problem == "has no model.onnx"
    assert scan.problems == (
        ("flat/model.onnx", "lies beside the versions: move it to 1/model.onnx"),
    )


def test_scan_refuses_links_that_leave_the_repository(tmp_path):
    outside = tmp_path / "outside"
    put(outside, 1)
    root = tmp_path / "repository"
    put(root, 1, model="kept")
    (root / "linked").symlink_to(outside / "mlp")
    (root / "kept" / "2").symlink_to(outside / "mlp" / "1")
    (root / "kept" / "3").mkdir()
    (root / "kept" / "3" / "model.onnx").symlink_to(outside / "mlp" / "1" / "model.onnx")
    scan = scan_repository(root)
    assert scan.problems == (("linked", "leads out of the repository"),)
    problems = {version.number: version.problem for version in scan.models[0].versions}
    assert problems == {1: "", 2: "leads out of the repository", 3: "leads out of the repository"}


def test_scan_follows_links_within_the_repository(tmp_path):
    """As a Kubernetes volume has them."""
    put(tmp_path / "..data", 1)
    (tmp_path / "mlp").symlink_to(tmp_path / "..data" / "mlp")
    (model,) = scan_repository(tmp_path).models
    assert model.versions[0].problem == ""


def test_scan_refuses_what_is_not_there(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be read"):
        scan_repository(tmp_path / "missing")


def test_read_model_file_returns_what_lies_there(tmp_path):
    path = put(tmp_path, 1, content=b"x" * 100_000) / "1" / "model.onnx"
    assert read_model_file(path, tmp_path, LIMIT) == b"x" * 100_000


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", "is empty"), (b"x" * (LIMIT + 1), "more than the limit")]
)
def test_read_model_file_refuses_sizes_that_cannot_be(tmp_path, content, expected):
    path = put(tmp_path, 1, content=content) / "1" / "model.onnx"
    with pytest.raises(ArtifactCorrupt, match=rf"^mlp/1/model\.onnx: .*{expected}"):
        read_model_file(path, tmp_path, LIMIT)


def test_read_model_file_does_not_wait_for_a_pipe(tmp_path):
    path = put(tmp_path, 1) / "1" / "model.onnx"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ArtifactCorrupt, match="not a regular file"):
        read_model_file(path, tmp_path, LIMIT)


def test_read_model_file_refuses_a_link_that_left_after_the_scan(tmp_path):
    outside = tmp_path / "secret"
    outside.write_bytes(b"secret")
    root = tmp_path / "repository"
    path = put(root, 1) / "1" / "model.onnx"
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(ArtifactCorrupt, match="leads out of the repository"):
        read_model_file(path, root, LIMIT)
