"""A published version appears at once and whole, under a number that nobody else has."""

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastserve.errors import InvalidConfig, VersionAlreadyLoaded
from fastserve.models.pinned import pin_version
from fastserve.models.publication import write_version
from fastserve.models.repository import scan_repository

LIMIT = 1 << 20


def publish(root, number=None, files=None, model="mlp", **options):
    given = {"model.onnx": b"onnx"} if files is None else files
    pieces = [(name, [data[:2], data[2:]]) for name, data in given.items()]
    return write_version(root, model, number, pieces, **{"max_bytes": LIMIT, **options})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_publish_writes_what_is_then_read(tmp_path, external_model):
    files = {**external_model, "golden/deep/a.json": b"{}"}
    done = publish(tmp_path, files=files, lineage={"git": "2f1c"})
    assert done.number == 1
    assert done.size_bytes == sum(len(data) for data in files.values())
    pinned = pin_version(tmp_path / "mlp" / "1", tmp_path, max_bytes=LIMIT)
    assert pinned.digest == done.digest
    assert pinned.manifest.lineage == {"git": "2f1c"}
    assert set(pinned.manifest.files) == set(files)
    assert names(tmp_path / "mlp") == ["1"]
    assert stat.S_IMODE((tmp_path / "mlp" / "1").stat().st_mode) & 0o700 == 0o700


def test_publish_takes_the_next_number(tmp_path):
    assert publish(tmp_path, 7).number == 7
    assert publish(tmp_path).number == 8
    (tmp_path / "mlp" / "11").mkdir()
    (tmp_path / "mlp" / "012").mkdir()
    assert publish(tmp_path).number == 12


@pytest.mark.parametrize("is_empty", [True, False])
def test_publish_never_overwrites(tmp_path, is_empty):
    folder = tmp_path / "mlp" / "3"
    folder.mkdir(parents=True)
    if not is_empty:
        (folder / "model.onnx").write_bytes(b"old")
    before = names(folder)
    with pytest.raises(VersionAlreadyLoaded, match="mlp/3 exists already"):
        publish(tmp_path, 3)
    assert names(folder) == before
    assert names(tmp_path / "mlp") == ["3"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"model": "../mlp"}, "'../mlp' is not a model name"),
        ({"model": ".mlp"}, "'.mlp' is not a model name"),
        ({"model": ""}, "'' is not a model name"),
        ({"number": 0}, "version 0: expected a number from 1"),
        ({"number": 1 << 63}, "expected a number from 1 to 9223372036854775807"),
        ({"files": {}}, "a version without files"),
        ({"files": {"../x": b""}}, "file '../x' leads out"),
        ({"files": {"/x": b""}}, "file '/x' is an absolute path"),
        ({"files": {"MANIFEST.json": b""}}, "is written by the server itself"),
        ({"files": {"a": b"", "a/b": b""}}, "file 'a/b' lies below another file"),
        ({"files": {"a/b": b"", "a": b""}}, "file 'a' is a folder as well"),
        ({"max_bytes": 3}, "makes the version larger than the limit of 3 bytes"),
        ({"lineage": {"a": "\n"}}, "lineage 'a' has a control character"),
    ],
)
def test_publish_refuses_and_leaves_nothing_behind(tmp_path, arguments, expected):
    with pytest.raises(InvalidConfig, match=expected.replace("(", r"\(")):
        publish(tmp_path, **arguments)
    assert names(tmp_path) == []


def test_publish_refuses_a_file_given_twice(tmp_path):
    with pytest.raises(InvalidConfig, match="file 'a' is given twice"):
        write_version(tmp_path, "mlp", None, [("a", [b"1"]), ("a", [b"2"])], max_bytes=LIMIT)


def test_publish_leaves_nothing_behind_when_its_source_fails(tmp_path):
    def pieces():
        yield b"half"
        raise ConnectionError("the client went away")

    publish(tmp_path)
    with pytest.raises(ConnectionError):
        write_version(tmp_path, "mlp", None, [("model.onnx", pieces())], max_bytes=LIMIT)
    assert names(tmp_path / "mlp") == ["1"]


def test_publish_refuses_a_model_that_leads_out_of_the_repository(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "mlp").symlink_to(outside)
    with pytest.raises(InvalidConfig, match="leads out of the repository"):
        publish(root)
    assert names(outside) == []


def test_publish_says_what_the_disk_says(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be written to the repository: No such file"):
        publish(tmp_path / "missing")


def test_publish_gives_every_writer_a_number_of_its_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: publish(tmp_path).number, range(64)))
    assert sorted(done) == list(range(1, 65))
    assert len(names(tmp_path / "mlp")) == 64
    (model,) = scan_repository(tmp_path).models
    assert all(version.problem == "" for version in model.versions)


def test_publish_gives_a_contested_number_to_one_writer(tmp_path):
    def attempt(_):
        try:
            return publish(tmp_path, 5).number
        except VersionAlreadyLoaded:
            return None

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(attempt, range(16)))
    assert done.count(5) == 1
    assert names(tmp_path / "mlp") == ["5"]


WRITER = """
import sys
from pathlib import Path
from fastserve.models.publication import write_version
def pieces():
    yield b"half"
    print("half", flush=True)
    sys.stdin.read()
write_version(Path(sys.argv[1]), "mlp", None, [("model.onnx", pieces())], max_bytes=100)
"""


def test_publish_removes_what_dead_writers_left_and_nothing_of_the_living(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout.readline() == b"half\n"
        (incoming,) = names(tmp_path / "mlp")
        assert incoming.startswith(".incoming-")
        publish(tmp_path)
        assert names(tmp_path / "mlp") == [incoming, "1"]
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert (tmp_path / "mlp" / incoming / "model.onnx").read_bytes() == b"half"
        publish(tmp_path)
        assert names(tmp_path / "mlp") == ["1", "2"]
