"""What lies below an open folder is found there, never through a link; so are its outlines."""

import os

import pytest

from fastserve.errors import ArtifactCorrupt
from fastserve.models.fingerprint import fingerprint
from fastserve.models.folder import Folder
from fastserve.models.syscalls import open_beneath, open_by_steps, rename_new


@pytest.fixture
def version(tmp_path):
    folder = tmp_path / "mlp" / "1"
    (folder / "golden").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"onnx")
    (folder / "golden" / "a.json").write_bytes(b"{}")
    return folder


@pytest.fixture(params=[open_beneath, open_by_steps])
def opened(request, version):
    """A function name -> what the file holds, by both ways to open it."""

    def read(name):
        descriptor = os.open(version, os.O_RDONLY)
        try:
            file = request.param(descriptor, name, os.O_RDONLY)
        finally:
            os.close(descriptor)
        with os.fdopen(file, "rb") as stream:
            return stream.read()

    return read


def test_open_reads_files_in_folders(opened):
    assert opened("model.onnx") == b"onnx"
    assert opened("golden/a.json") == b"{}"


@pytest.mark.parametrize("name", ["link", "golden/link", "folder/a.json", "magic/model.onnx"])
def test_open_refuses_links_in_every_place_of_the_name(opened, version, name):
    (version / "link").symlink_to("model.onnx")
    (version / "golden" / "link").symlink_to("a.json")
    (version / "folder").symlink_to("golden")
    (version / "magic").symlink_to("/proc/self/cwd")
    with pytest.raises(OSError, match="symbolic links"):
        opened(name)


@pytest.mark.parametrize("name", ["../1/model.onnx", "golden/../model.onnx/..", "/etc/passwd"])
def test_open_never_leads_up(opened, name):
    with pytest.raises(OSError, match=r"cross-device|Not a directory"):
        opened(name)


def test_open_leaks_no_descriptor(opened, version):
    (version / "folder").symlink_to("golden")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a path object opens another one
    for name in ("golden/a.json", "folder/a.json", "golden/b.json", "no/b.json"):
        try:
            opened(name)
        except OSError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_rename_never_replaces(tmp_path):
    for name in ("new", "taken"):
        (tmp_path / name).mkdir()
    (tmp_path / "new" / "file").write_bytes(b"")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            rename_new(descriptor, "new", "taken")
        rename_new(descriptor, "new", "free")
    finally:
        os.close(descriptor)
    assert (tmp_path / "free" / "file").exists()


def test_entries_are_all_that_is_visible_by_name(version, tmp_path):
    (version / ".hidden").write_bytes(b"")
    (version / ".folder").mkdir()
    (version / "link").symlink_to("model.onnx")
    (version / "dangling").symlink_to("nowhere")
    (version / "outside").symlink_to("/")
    with Folder(version, tmp_path, name="mlp/1") as folder:
        entries = {entry.name: entry for entry in folder.entries()}
    assert list(entries) == [
        *("dangling", "golden", "golden/a.json", "link", "model.onnx", "outside")
    ]
    assert entries["link"].is_link
    assert entries["link"].size_bytes == 4
    assert entries["golden"].is_folder


def test_entries_are_bounded(version, tmp_path):
    for number in range(10_000):
        (version / f"{number}").touch()
    with pytest.raises(ArtifactCorrupt, match="mlp/1: holds more than 10000 entries"):
        fingerprint(version, tmp_path)


def test_fingerprint_is_equal_while_nothing_changes(version, tmp_path):
    first = fingerprint(version, tmp_path)
    assert fingerprint(version, tmp_path) == first
    assert len({first, fingerprint(version, tmp_path)}) == 1
    assert first.newest_mtime_ns >= (version / "model.onnx").stat().st_mtime_ns


def replace(path, data):
    path.with_name(".new").write_bytes(data)
    path.with_name(".new").rename(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "model.onnx").write_bytes(b"longer"),
        lambda folder: os.utime(folder / "model.onnx", ns=(1, 1)),
        lambda folder: replace(folder / "model.onnx", b"onnx"),
        lambda folder: (folder / "golden" / "b.json").touch(),
        lambda folder: (folder / "golden" / "a.json").unlink(),
        lambda folder: (folder / "golden" / "a.json").rename(folder / "golden" / "b.json"),
        lambda folder: (folder / "empty").mkdir(),
    ],
)
def test_fingerprint_changes_with(version, tmp_path, change):
    first = fingerprint(version, tmp_path)
    change(version)
    assert fingerprint(version, tmp_path) != first


def test_fingerprint_changes_when_a_link_leads_to_another_folder(tmp_path):
    """As a Kubernetes volume is replaced."""
    for name in ("..one", "..two"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "model.onnx").write_bytes(b"onnx")
    (tmp_path / "mlp").symlink_to("..one")
    first = fingerprint(tmp_path / "mlp" / "1", tmp_path)
    (tmp_path / "mlp").unlink()
    (tmp_path / "mlp").symlink_to("..two")
    assert fingerprint(tmp_path / "mlp" / "1", tmp_path) != first


def test_fingerprint_does_not_open_a_pipe(version, tmp_path):
    os.mkfifo(version / "pipe")
    assert "pipe" in {entry.name for entry in fingerprint(version, tmp_path).entries}


def test_fingerprint_refuses_what_is_gone_or_elsewhere(version, tmp_path):
    with pytest.raises(ArtifactCorrupt, match="mlp/2: cannot be opened: No such file"):
        fingerprint(version.parent / "2", tmp_path)
    (tmp_path / "root" / "mlp").mkdir(parents=True)
    (tmp_path / "root" / "mlp" / "1").symlink_to(version)
    with pytest.raises(ArtifactCorrupt, match="mlp/1: leads out of the repository"):
        fingerprint(tmp_path / "root" / "mlp" / "1", tmp_path / "root")
