"""Versions are read once: what is missing, too much, linked, damaged or changing is refused."""

import hashlib
import os
import shutil

import pytest

from fastserve.errors import ArtifactCorrupt, Unsupported
from fastserve.models.manifest import describe_files, encode_manifest
from fastserve.models.pinned import pin_memory, pin_version

LIMIT = 1 << 24


@pytest.fixture
def root(tmp_path):
    return tmp_path / "repository"


@pytest.fixture
def put(root):
    """A function that writes files (name -> bytes) as version mlp/1, with a manifest if asked."""

    def write(files, *, manifest=False):
        folder = root / "mlp" / "1"
        if manifest:
            files = {**files, "MANIFEST.json": encode_manifest(describe_files(files))}
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder

    return write


def pin(folder, root, **options):
    return pin_version(folder, root, **{"max_bytes": LIMIT, **options})


def refusal(folder, root, **options):
    with pytest.raises((ArtifactCorrupt, Unsupported)) as caught:
        pin(folder, root, **options)
    assert "\n" not in caught.value.message
    assert caught.value.message.startswith("mlp/1")
    return caught.value.message


def test_pin_holds_every_file_that_counts(put, root, external_model):
    files = {
        **external_model,
        "golden/a.npz": b"1",
        "golden/b.json": b"2",
        "warmup/c.npz": b"3",
        "reference.profile": b"4",
    }
    folder = put({**files, "README.md": b"no", "golden/notes.txt": b"no", ".hidden": b"no"})
    pinned = pin(folder, root)
    assert pinned.files == files
    assert pinned.model == files["model.onnx"]
    assert pinned.external == {"external.bin": files["external.bin"]}
    assert pinned.file_bytes == len(files["model.onnx"]) + len(files["external.bin"])
    assert pinned.manifest is None
    assert pinned.sha256["golden/a.npz"] == hashlib.sha256(b"1").hexdigest()


def test_pin_takes_another_file_as_the_model(put, root, mlp):
    folder = put({"net/graph.onnx": mlp})
    assert pin(folder, root, model_file="net/graph.onnx").model == mlp


def test_pin_digest_is_that_of_the_contents(put, root, mlp):
    folder = put({"model.onnx": mlp})
    plain = pin(folder, root).digest
    put({"model.onnx": mlp}, manifest=True)
    assert pin(folder, root).digest == plain == pin_memory({"model.onnx": mlp}).digest
    put({"model.onnx": mlp + b"\x32\x01x"}, manifest=True)
    assert pin(folder, root).digest != plain


def test_pin_reads_what_the_manifest_lists(put, root, external_model):
    folder = put({**external_model, "README.md": b"read me"}, manifest=True)
    pinned = pin(folder, root)
    assert set(pinned.manifest.files) == {*external_model, "README.md"}
    assert set(pinned.files) == {*external_model, "MANIFEST.json"}
    assert set(pinned.sha256) == {*external_model, "MANIFEST.json", "README.md"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "golden" / "a.json").unlink(), "a.json: is missing; MANIFEST"),
        (lambda folder: (folder / "extra.bin").write_bytes(b""), "does not list 'extra.bin'"),
        (lambda folder: (folder / "golden" / "b").mkdir(), ""),
        (lambda folder: (folder / ".swp").write_bytes(b""), ""),
        (lambda folder: (folder / "golden" / "a.json").write_bytes(b"12"), "says 1"),
        (lambda folder: (folder / "golden" / "a.json").write_bytes(b"2"), "has the SHA-256 d4735"),
        (lambda folder: (folder / "README.md").write_bytes(b"x"), "has the SHA-256"),
        (lambda folder: (folder / "external.bin").write_bytes(b"\0" * 288), "has the SHA-256"),
        (lambda folder: (folder / "MANIFEST.json").write_bytes(b"{"), "MANIFEST.json: .*truncated"),
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx: is missing"),
    ],
)
def test_pin_compares_the_folder_with_its_manifest(put, root, external_model, change, expected):
    files = {**external_model, "golden/a.json": b"1", "README.md": b"r"}
    folder = put(files, manifest=True)
    change(folder)
    if expected:
        with pytest.raises(ArtifactCorrupt, match=rf"^mlp/1.*{expected}"):
            pin(folder, root)
    else:
        assert pin(folder, root).model == external_model["model.onnx"]


def test_pin_refuses_external_data_that_the_manifest_does_not_list(put, root, external_model):
    listed = encode_manifest(describe_files({"model.onnx": external_model["model.onnx"]}))
    folder = put({**external_model, "MANIFEST.json": listed})
    assert "does not list 'external.bin'" in refusal(folder, root)
    (folder / "external.bin").rename(folder / ".external.bin")
    assert "does not list 'external.bin'" in refusal(folder, root)


def test_pin_refuses_a_version_without_a_model(put, root):
    assert refusal(put({"other.onnx": b"x"}), root) == "mlp/1/model.onnx: is missing"


def test_pin_refuses_an_empty_model(put, root):
    assert refusal(put({"model.onnx": b""}), root) == "mlp/1/model.onnx: is empty"


def test_pin_refuses_what_is_no_onnx_file(put, root):
    message = refusal(put({"model.onnx": b"PK\x03\x04"}), root)
    assert message.startswith("mlp/1/model.onnx: truncated or not an ONNX file")


def test_pin_refuses_a_folder_that_is_not_there(root):
    assert "cannot be opened: No such file" in refusal(root / "mlp" / "1", root)


def test_pin_refuses_more_bytes_than_the_limit(put, root, external_model):
    folder = put(external_model)
    model, data = (len(external_model[name]) for name in ("model.onnx", "external.bin"))
    assert pin(folder, root, max_bytes=model + data).file_bytes == model + data
    assert f"more than the limit of {model - 1}" in refusal(folder, root, max_bytes=model - 1)
    message = refusal(folder, root, max_bytes=model + data - 1)
    assert message.startswith(f"mlp/1/external.bin: has {data} bytes, makes the version larger")


def test_pin_refuses_a_sparse_file_of_a_terabyte_at_once(put, root):
    folder = put({"model.onnx": b""})
    os.truncate(folder / "model.onnx", 1 << 40)
    assert "more than the limit" in refusal(folder, root)


@pytest.mark.parametrize("name", ["model.onnx", "external.bin", "golden/a.json", "MANIFEST.json"])
def test_pin_never_waits_for_a_pipe(put, root, external_model, name):
    folder = put({**external_model, "golden/a.json": b"1", "MANIFEST.json": b"{}"})
    if name != "MANIFEST.json":
        (folder / "MANIFEST.json").unlink()
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert refusal(folder, root) == f"mlp/1/{name}: is not a regular file"


def test_pin_refuses_a_folder_in_a_files_place(put, root, external_model):
    folder = put(external_model)
    (folder / "external.bin").unlink()
    (folder / "external.bin").mkdir()
    assert refusal(folder, root) == "mlp/1/external.bin: is not a regular file"


def test_pin_follows_links_above_the_version(put, root, mlp):
    """As a Kubernetes volume has them: model -> ..data/model, ..data -> ..2026_11."""
    folder = put({"model.onnx": mlp})
    data = root / "..2026_11"
    data.mkdir()
    shutil.move(root / "mlp", data / "mlp")
    (root / "..data").symlink_to(data.name)
    (root / "mlp").symlink_to("..data/mlp")
    assert pin(folder, root).model == mlp


def test_pin_follows_a_model_that_is_a_link_inside_the_repository(put, root, mlp):
    folder = put({"model.onnx": mlp})
    (folder / "model.onnx").rename(root / "stored")
    (folder / "model.onnx").symlink_to(root / "stored")
    assert pin(folder, root).model == mlp


def test_pin_refuses_a_folder_that_leads_out_of_the_repository(put, root, mlp, tmp_path):
    put({"model.onnx": mlp})
    shutil.move(root / "mlp", tmp_path / "elsewhere")
    (root / "mlp").symlink_to(tmp_path / "elsewhere")
    assert refusal(root / "mlp" / "1", root) == "mlp/1: leads out of the repository"


@pytest.mark.parametrize("name", ["model.onnx", "external.bin", "golden/a.json", "MANIFEST.json"])
def test_pin_refuses_links_that_lead_out_of_the_repository(
    put, root, external_model, tmp_path, name
):
    folder = put({**external_model, "golden/a.json": b"1", "MANIFEST.json": b"{}"})
    if name != "MANIFEST.json":
        (folder / "MANIFEST.json").unlink()
    shutil.move(folder / name, tmp_path / "secret")
    (folder / name).symlink_to(tmp_path / "secret")
    reason = "leads out of the repository" if name == "model.onnx" else "is a link"
    assert refusal(folder, root).startswith(f"mlp/1/{name}: {reason}")


@pytest.mark.parametrize("target", ["stored", "nowhere"])
def test_pin_refuses_a_folder_of_requests_that_is_a_link(put, root, mlp, target):
    """Golden answers that are silently left out would be worse."""
    folder = put({"model.onnx": mlp})
    (root / "stored").mkdir()
    (folder / "golden").symlink_to(root / target)
    assert refusal(folder, root).startswith("mlp/1/golden: is a link")


def test_pin_refuses_external_data_behind_a_link_inside_the_repository(put, root, external_model):
    folder = put(external_model)
    (folder / "external.bin").rename(root / "stored")
    (folder / "external.bin").symlink_to(root / "stored")
    assert refusal(folder, root).startswith("mlp/1/external.bin: is a link")


def test_pin_refuses_external_data_behind_a_folder_that_is_a_link(put, root, external_model):
    model = external_model["model.onnx"].replace(b"external.bin", b"outer/ex.bin")
    folder = put({"model.onnx": model, "outer/ex.bin": external_model["external.bin"]})
    assert pin(folder, root).external
    (folder / "outer").rename(root / "moved")
    (folder / "outer").symlink_to(root / "moved")
    assert refusal(folder, root).startswith("mlp/1/outer/ex.bin: is a link, or lies behind one")


def test_pin_refuses_external_data_with_another_name(put, root, external_model, tmp_path):
    folder = put(external_model)
    os.link(folder / "external.bin", tmp_path / "another")
    assert "has 2 names (hard links)" in refusal(folder, root)


def test_pin_accepts_a_model_with_another_name(put, root, mlp, tmp_path):
    """Backups by `cp -al` and stores that keep a file once make hard links."""
    folder = put({"model.onnx": mlp})
    os.link(folder / "model.onnx", tmp_path / "another")
    assert pin(folder, root).model == mlp


def test_pin_refuses_external_data_that_is_too_short(put, root, external_model):
    folder = put({**external_model, "external.bin": b"\0" * 287})
    assert "'w2' lies at bytes 192 to 288 of 'external.bin', which has 287" in refusal(folder, root)


def test_pin_refuses_a_folder_with_too_much_in_it(put, root, mlp):
    folder = put({"model.onnx": mlp})
    deep = folder
    for _ in range(12):
        deep /= "d"
    deep.mkdir(parents=True)
    assert "lies deeper than 8 folders" in refusal(folder, root)


def test_pin_memory_is_as_strict_as_a_folder(external_model):
    pinned = pin_memory(external_model)
    assert pinned.files == external_model
    listed = encode_manifest(describe_files(external_model))
    assert pin_memory({**external_model, "MANIFEST.json": listed}).manifest is not None
    for files, expected in [
        ({"external.bin": b""}, "upload/model.onnx: is missing"),
        ({"model.onnx": external_model["model.onnx"]}, "upload/external.bin: is missing"),
        ({**external_model, "../x": b""}, "upload: file '../x' leads out"),
        ({**external_model, "MANIFEST.json": listed, "x": b""}, "does not list 'x'"),
        ({"model.onnx": b"", "MANIFEST.json": listed}, "upload/external.bin: is missing"),
    ]:
        with pytest.raises(ArtifactCorrupt, match=expected):
            pin_memory(files)
