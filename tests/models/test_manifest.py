"""MANIFEST.json: strict, bounded, the same after writing and reading."""

import json

import pytest

from fastserve.errors import ArtifactCorrupt, InvalidConfig
from fastserve.models.manifest import (
    Manifest,
    content_digest,
    decode_manifest,
    describe_files,
    encode_manifest,
    file_name_problem,
)

FILE = {"bytes": 3, "sha256": "0" * 64}


def encoded(**changed):
    return json.dumps({"format": 1, "files": {"model.onnx": FILE}, **changed}).encode()


def test_manifest_is_the_same_after_writing_and_reading():
    made = describe_files({"model.onnx": b"abc", "golden/a.json": b""}, {"git": "2f1c"})
    data = encode_manifest(made)
    assert decode_manifest(data) == made
    assert made.files["model.onnx"].size_bytes == 3
    assert made.files["model.onnx"].sha256.startswith("ba7816bf")
    assert json.loads(data)["files"]["model.onnx"]["bytes"] == 3
    assert json.loads(data)["lineage"] == {"git": "2f1c"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "truncated"),
        (b"[]", "expected `object`, got `array`"),
        (b"\xff{}", "invalid"),
        (b"[" * 100_000, "nested too deep|expected `object`"),
        (b"{}", "missing required field `files`"),
        (encoded(format=2), "invalid enum value 2"),
        (encoded(extra=1), "unknown field `extra`"),
        (encoded(files={}), "length >= 1"),
        (encoded(files={"a": {"bytes": -1, "sha256": "0" * 64}}), r">= 0 \(at files"),
        (encoded(files={"a": {"bytes": "3", "sha256": "0" * 64}}), "expected `int`, got `str`"),
        (encoded(files={"a": {"bytes": 3, "sha256": "0" * 63}}), "regex"),
        (encoded(files={"a": {"bytes": 3, "sha256": "A" * 64}}), "regex"),
        (encoded(files={"a": {"bytes": 3}}), "missing required field `sha256`"),
        (encoded(files={"../a": FILE}), "file '../a' leads out"),
        (encoded(files={"MANIFEST.json": FILE}), "is the manifest itself"),
        (encoded(lineage={"a": 1}), "expected `str`, got `int`"),
        (encoded(lineage={"": "1"}), "length >= 1"),
        (encoded(lineage={"a": "1\n2"}), "lineage 'a' has a control character"),
        (encoded(lineage={f"k{i}": "" for i in range(65)}), "length <= 64"),
        (encoded(lineage={"a": "x" * 4097}), "length <= 4096"),
        (b" " * ((4 << 20) + 1), "more than the limit of 4194304"),
    ],
)
def test_manifest_is_refused_with_one_line(data, expected):
    with pytest.raises(ArtifactCorrupt, match=rf"^MANIFEST\.json: .*({expected})") as caught:
        decode_manifest(data)
    assert "\n" not in caught.value.message


def test_manifest_is_not_written_when_it_could_not_be_read():
    with pytest.raises(InvalidConfig, match="lineage 'a' has a control character"):
        describe_files({"model.onnx": b""}, {"a": "\x1b[31m"})
    with pytest.raises(InvalidConfig, match="file 'a//b' has an empty part"):
        describe_files({"a//b": b""})
    with pytest.raises(InvalidConfig, match="length >= 1"):
        encode_manifest(Manifest(files={}))


@pytest.mark.parametrize("name", ["model.onnx", "a/b/c.bin", "weights (1).bin", "größe", "a..b"])
def test_file_names_that_are_plain_are_accepted(name):
    assert file_name_problem(name) == ""


@pytest.mark.parametrize("name", ["", "/a", "a/../b", "a/", ".a", "a\x85", "a\u2028", "\ud800"])
def test_file_names_that_are_not_plain_are_refused(name):
    assert file_name_problem(name) != ""


def test_digest_is_of_names_and_contents_alone():
    hashes = {"a": "0" * 64, "b": "1" * 64}
    assert content_digest(hashes) == content_digest(dict(reversed(hashes.items())))
    assert content_digest(hashes) == content_digest({**hashes, "MANIFEST.json": "2" * 64})
    assert content_digest(hashes) != content_digest({"a": "1" * 64, "b": "0" * 64})
