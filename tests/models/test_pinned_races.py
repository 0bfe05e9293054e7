"""Somebody writes while a version is read: a whole version, another whole version, or a refusal.

FASTSERVE_SOAK=1 runs 10,000 rounds of each kind of writer instead of 100.
"""

import threading
from contextlib import contextmanager

import pytest

from fastserve.errors import FastserveError
from fastserve.models.manifest import describe_files, encode_manifest
from fastserve.models.pinned import pin_version
from tests.exchange import exchange

LIMIT = 1 << 24
SECRET = b"a secret that no version may hold"


def contents(external_model, number):
    """One of the versions that are published: every file of it says which."""
    mark = f"version {number}".encode()
    files = {
        # doc_string, the last field of the file
        "model.onnx": external_model["model.onnx"] + b"\x32" + bytes([len(mark)]) + mark,
        "external.bin": external_model["external.bin"] + mark * 20_000,
        "golden/a.json": mark,
    }
    return {**files, "MANIFEST.json": encode_manifest(describe_files(files))}


def put(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.fixture
def versions(external_model):
    return [contents(external_model, number) for number in range(2)]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret").write_bytes(SECRET)
    made = tmp_path / "repository"
    (made / "mlp").mkdir(parents=True)
    return made


@contextmanager
def written_by(step):
    """Calls `step(round)` in a thread again and again."""
    stopped = threading.Event()
    failures = []

    def write():
        count = 0
        try:
            while not stopped.is_set():
                step(count)
                count += 1
        except Exception as error:
            failures.append(error)
            raise

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stopped.set()
        writer.join()
    assert failures == []


def read_again_and_again(folder, root, published, rounds):
    """How many reads succeeded; each is one of the published contents, whole."""
    messages = []
    for _ in range(rounds):
        try:
            pinned = pin_version(folder, root, max_bytes=LIMIT)
        except FastserveError as error:
            messages.append(error.message)
            continue
        assert dict(pinned.files) in published
    assert [text for text in messages if "\n" in text or SECRET.decode() in text] == []
    return rounds - len(messages)


@pytest.fixture
def rounds(soak):
    return 10_000 if soak else 100


@pytest.mark.parametrize("has_manifest", [True, False])
def test_reads_are_whole_while_folders_change_places(root, versions, rounds, has_manifest):
    if not has_manifest:
        for files in versions:
            del files["MANIFEST.json"]
    here, there = root / "mlp" / "1", root / "mlp" / ".other"
    for folder, files in zip((here, there), versions, strict=True):
        put(folder, files)
    with written_by(lambda _: exchange(here, there)):
        successes = read_again_and_again(here, root, versions, rounds)
    assert successes > rounds // 2


def test_reads_are_whole_while_files_are_written_in_place(root, versions, rounds):
    """Truncated, then copied slowly, in any order, as `cp` over a version does."""
    folder = root / "mlp" / "1"
    put(folder, versions[0])

    def write(count):
        files = versions[count // 4 % 2]
        names = sorted(files, reverse=count % 2 == 0)
        for name in names:
            with (folder / name).open("wb") as file:
                for start in range(0, len(files[name]), 16_384):
                    file.write(files[name][start : start + 16_384])
                    file.flush()

    with written_by(write):
        read_again_and_again(folder, root, versions, rounds)
    write(0)
    assert read_again_and_again(folder, root, versions[:1], 1) == 1


def test_reads_are_whole_while_single_files_change_places(root, versions, rounds):
    folder, other = root / "mlp" / "1", root / "mlp" / ".other"
    for where, files in zip((folder, other), versions, strict=True):
        put(where, files)
    names = sorted(versions[0])

    def step(count):
        exchange(folder / names[count % 4], other / names[count % 4])

    with written_by(step):
        successes = read_again_and_again(folder, root, versions, rounds)
    assert successes < rounds


@pytest.mark.parametrize("has_manifest", [True, False])
@pytest.mark.parametrize("name", ["model.onnx", "external.bin", "golden/a.json", "golden"])
def test_reads_never_leave_the_root_while_links_change_places(
    root, versions, rounds, name, has_manifest
):
    if not has_manifest:
        del versions[0]["MANIFEST.json"]
    folder = root / "mlp" / "1"
    put(folder, versions[0])
    secret = root.parent / "secret"
    if name == "golden":
        secret = root.parent / "folder"
        secret.mkdir()
        (secret / "a.json").write_bytes(SECRET)
    link = root / "mlp" / ".link"
    link.symlink_to(secret)
    with written_by(lambda _: exchange(folder / name, link)):
        read_again_and_again(folder, root, versions[:1], rounds)


def test_reads_never_leave_the_root_while_the_folder_changes_places(root, versions, rounds):
    folder, outside = root / "mlp" / "1", root.parent / "outside"
    put(folder, versions[0])
    put(outside, {**versions[1], "model.onnx": SECRET})
    link = root / "mlp" / ".link"
    link.symlink_to(outside)
    with written_by(lambda _: exchange(folder, link)):
        read_again_and_again(folder, root, versions[:1], rounds)
