"""MANIFEST.json of a version's folder: which files it has, how large, with which SHA-256.

Whoever publishes writes it last, so a version with a manifest is complete or refused: a file that
is missing, larger, smaller, other or too many is found when the version is read.

    {"format": 1,
     "files": {"model.onnx": {"bytes": 4096, "sha256": "9f86..."}},
     "lineage": {"git": "2f1c", "data": "2026-10"}}
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from fastserve.config import read_regular_file
from fastserve.decoding import decoder
from fastserve.errors import ArtifactCorrupt, FastserveError, InvalidConfig, quoted

MANIFEST_FILE: Final = "MANIFEST.json"
MAX_MANIFEST_BYTES: Final = 4 << 20
# What a version may hold at most, here and in a folder without a manifest.
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 8
_MAX_NAME_BYTES: Final = 1024
_MAX_PART_BYTES: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")

LineageKey = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
LineageValue = Annotated[str, msgspec.Meta(max_length=4096)]
Lineage = Annotated[dict[LineageKey, LineageValue], msgspec.Meta(max_length=64)]


class ManifestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file's size and SHA-256 in lower-case hexadecimal digits."""

    size_bytes: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="bytes")
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a version consists of, by file name, and where it comes from."""

    format: Literal[1] = 1
    files: Annotated[dict[str, ManifestFile], msgspec.Meta(min_length=1, max_length=MAX_FILES)]
    lineage: Lineage = {}


def describe_files(files: Mapping[str, bytes], lineage: Mapping[str, str] = {}) -> Manifest:
    """The manifest of these files. Errors: InvalidConfig for a name or lineage it cannot hold."""
    manifest = Manifest(
        files={
            name: ManifestFile(len(data), hashlib.sha256(data).hexdigest())
            for name, data in sorted(files.items())
        },
        lineage=dict(lineage),
    )
    encode_manifest(manifest)
    return manifest


def encode_manifest(manifest: Manifest) -> bytes:
    """The file's bytes, sorted and indented. Errors: InvalidConfig for what could not be read."""
    data = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"
    try:
        decode_manifest(data)
    except ArtifactCorrupt as error:
        raise InvalidConfig(error.message) from error
    return data


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in a file's bytes. Errors: ArtifactCorrupt with the place and what was got."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ArtifactCorrupt(
            f"{MANIFEST_FILE}: has {len(data)} bytes, more than the limit of {MAX_MANIFEST_BYTES}"
        )
    try:
        manifest = decoder(Manifest).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtifactCorrupt(f"{MANIFEST_FILE}: {_one_line(error)}") from None
    except RecursionError:
        raise ArtifactCorrupt(f"{MANIFEST_FILE}: nested too deep") from None
    for name in manifest.files:
        problem = file_name_problem(name)
        if not problem and name == MANIFEST_FILE:
            problem = "is the manifest itself"
        if problem:
            raise ArtifactCorrupt(f"{MANIFEST_FILE}: file {quoted(name)} {problem}")
    for key, value in manifest.lineage.items():
        if _CONTROL.search(key) or _CONTROL.search(value):
            raise ArtifactCorrupt(
                f"{MANIFEST_FILE}: lineage {quoted(key)} has a control character: expected one line"
            )
    return manifest


def content_digest(sha256: Mapping[str, str]) -> str:
    """SHA-256 over names and hashes: equal for equal files, whoever copied or published them.

    The manifest does not count: it changes no answer.
    """
    total = hashlib.sha256()
    for name, digest in sorted(sha256.items()):
        if name != MANIFEST_FILE:
            total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()


def file_name_problem(name: str) -> str:
    """Why `name` cannot be a file of a version; empty when it can.

    Names are relative, with `/` between their parts, of which none is hidden or leads up.
    """
    parts = name.split("/")
    try:
        longest = max(len(part.encode()) for part in parts)
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    rules = (
        (not name, "is empty"),
        (bool(_CONTROL.search(name)), "has a control character"),
        ("://" in name, "is a URL: only files in the version's folder are read"),
        (name.startswith("/") or bool(_DRIVE.match(name)), "is an absolute path"),
        ("\\" in name, "has a backslash: write '/' between folders"),
        (".." in parts, "leads out of the version's folder"),
        ("" in parts or "." in parts, "has an empty part or '.'"),
        (any(part.startswith(".") for part in parts), "is hidden: it begins with a dot"),
        (
            size > _MAX_NAME_BYTES or longest > _MAX_PART_BYTES,
            f"is longer than {_MAX_PART_BYTES} bytes a part or {_MAX_NAME_BYTES} in all",
        ),
        (len(parts) > MAX_DEPTH, f"lies deeper than {MAX_DEPTH} folders"),
    )
    return next((problem for is_broken, problem in rules if is_broken), "")


def _one_line(error: Exception) -> str:
    """A message of msgspec without its `$`: "expected `int`, got `str` (at files[...].bytes)"."""
    what, _, path = str(error).partition(" - at `$")
    place = path.removesuffix("`").lstrip(".")
    text = _CONTROL.sub("?", what[:1].lower() + what[1:])
    return f"{text} (at {_CONTROL.sub('?', place)})" if place else text


def is_complete(folder: Path) -> bool:
    """Whether the folder has a manifest and all of its files in their sizes. Hashes come later."""
    try:
        manifest = decode_manifest(_read_small(folder / MANIFEST_FILE))
        return all(
            (folder / name).stat().st_size == file.size_bytes
            for name, file in manifest.files.items()
        )
    except (OSError, FastserveError):
        return False


def _read_small(path: Path) -> bytes:
    return read_regular_file(path, name=path.name, max_bytes=MAX_MANIFEST_BYTES)
