"""The repository's scan: names only, nothing skipped in silence, nothing outside ever opened."""

import pytest

from fastserve.errors import InvalidConfig
from fastserve.models.repository import Repository, scan_repository


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
    assert model.newest.path == tmp_path / "mlp" / "10"
    assert model.problem == ""


def test_repository_reads_settings_beside_the_versions(tmp_path):
    folder = put(tmp_path, 1)
    (folder / "model.toml").write_text("weight = 7\n")
    repository = Repository(tmp_path)
    assert repository.read_settings(repository.find("mlp")).config.weight == 7


def test_repository_sees_when_settings_change(tmp_path):
    folder = put(tmp_path, 1)
    repository = Repository(tmp_path)
    sights = [repository.sight_settings(folder)]
    for text in ("weight = 7\n", "weight = 70\n"):
        (folder / "model.toml").write_text(text)
        sights.append(repository.sight_settings(folder))
    assert len(set(sights)) == 3


@pytest.mark.parametrize("name", ["", ".", "..", "../mlp", "mlp/1", ".hidden", "absent", "/etc"])
def test_repository_finds_no_model_of_a_name_that_is_none(tmp_path, name):
    put(tmp_path, 1)
    put(tmp_path, 1, model=".hidden")
    assert Repository(tmp_path).find(name) is None


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
    assert found["hollow"].versions[0].problem == ""
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
    scan = scan_repository(root)
    assert scan.problems == (("linked", "leads out of the repository"),)
    problems = {version.number: version.problem for version in scan.models[0].versions}
    assert problems == {1: "", 2: "leads out of the repository"}


def test_scan_follows_links_within_the_repository(tmp_path):
    """As a Kubernetes volume has them."""
    put(tmp_path / "..data", 1)
    (tmp_path / "mlp").symlink_to(tmp_path / "..data" / "mlp")
    (model,) = scan_repository(tmp_path).models
    assert model.versions[0].problem == ""


def test_scan_refuses_what_is_not_there(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be read"):
        scan_repository(tmp_path / "missing")
