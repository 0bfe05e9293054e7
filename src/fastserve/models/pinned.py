"""A version's files, read once: what was hashed and checked is what is loaded.

Whoever writes at the same time can make a read fail, never mix: the folder is opened once, each
file is read in one go, and at the end every file must still be the one that was read. With a
MANIFEST.json the files must also be those that it lists, no more and no less.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, TypeAlias

import msgspec

from fastserve._core import core
from fastserve.errors import ArtifactCorrupt, FastserveError, quoted
from fastserve.models.external_data import (
    ExternalReference,
    check_ranges,
    external_references,
    read_facts,
)
from fastserve.models.file_reader import FileReader, Rule
from fastserve.models.folder import Folder
from fastserve.models.manifest import (
    MANIFEST_FILE,
    Manifest,
    ManifestFile,
    content_digest,
    decode_manifest,
    file_name_problem,
)

MODEL_FILE: Final = "model.onnx"
PROFILE_FILE: Final = "reference.profile"
# Recorded requests lie in these folders, in files of these kinds.
REQUEST_FOLDERS: Final = ("golden", "warmup")
REQUEST_SUFFIXES: Final = (".npz", ".json")

# A view of what a caller sent, which stays where it lies.
Content: TypeAlias = bytes | memoryview
_Read: TypeAlias = Callable[[str, Rule], Content]


class PinnedVersion(msgspec.Struct, frozen=True):
    """The bytes of one version, and what they hash to.

    `files` are those that count: the model, its external data, golden answers, warm-up requests,
    the reference profile and the manifest. `sha256` has also those that only a manifest lists.
    """

    model_file: str
    files: Mapping[str, Content]
    sha256: Mapping[str, str]
    # As fastserve.models.manifest.content_digest.
    digest: str
    manifest: Manifest | None
    facts: core.OnnxFacts
    references: tuple[ExternalReference, ...]

    @property
    def model(self) -> Content:
        return self.files[self.model_file]

    @property
    def external(self) -> dict[str, Content]:
        """What ONNX Runtime is given beside the model, by the name that the model uses."""
        return {reference.location: self.files[reference.file] for reference in self.references}

    @property
    def file_bytes(self) -> int:
        """Of the model and its external data."""
        names = {self.model_file, *(reference.file for reference in self.references)}
        return sum(len(self.files[name]) for name in names)


def pin_version(
    folder: Path, root: Path, *, model_file: str = MODEL_FILE, max_bytes: int
) -> PinnedVersion:
    """Reads a version's folder inside `root`, at most `max_bytes` in all.

    Errors: ArtifactCorrupt and Unsupported with the file's name: missing, no plain file, changed
    meanwhile, not as the manifest says, no ONNX file. Thread: any; the GIL is released while bytes
    are read and hashed.
    """
    place = f"{folder.parent.name}/{folder.name}"
    with Folder(folder, root, name=place) as opened:
        reader = FileReader(opened, root, max_bytes)
        entries = opened.entries()
        for entry in entries:
            if entry.is_link and entry.name in REQUEST_FOLDERS:
                raise ArtifactCorrupt(
                    f"{place}/{entry.name}: is a link, which is refused: copy the folder itself"
                )
        present = {entry.name for entry in entries if not entry.is_folder}
        pinned = _pin(place, model_file, present, reader.read)
        reader.check_unchanged()
    return pinned


def pin_memory(
    files: Mapping[str, Content], model_file: str = MODEL_FILE, *, name: str = "upload"
) -> PinnedVersion:
    """The same for files that a caller sent: the model and its external data are not copied.

    Errors: as `pin_version`.
    """
    for file in files:
        problem = file_name_problem(file)
        if problem:
            raise ArtifactCorrupt(f"{name}: file {quoted(file)} {problem}")

    def read(file: str, rule: Rule) -> Content:
        if file not in files:
            raise ArtifactCorrupt(f"{name}/{file}: is missing")
        data = files[file]
        # What is small is read by many, and a view of it would keep all files alive.
        return data if rule in (Rule.MODEL, Rule.EXTERNAL) else bytes(data)

    return _pin(name, model_file, files.keys(), read)


def _pin(place: str, model_file: str, present: Collection[str], read: _Read) -> PinnedVersion:
    pinning = _Pinning(place, read)
    if MANIFEST_FILE in present:
        pinning.take_manifest({*present, model_file})
    model = pinning.take(model_file, Rule.MODEL)
    if not model:
        raise ArtifactCorrupt(f"{place}/{model_file}: is empty")
    with _named(f"{place}/{model_file}"):
        facts = read_facts(model)
        references = external_references(facts)
    for reference in references:
        pinning.take(reference.file, Rule.EXTERNAL)
    with _named(f"{place}/{model_file}"):
        check_ranges(references, {name: len(data) for name, data in pinning.files.items()})
    for name in sorted(present):
        if _counts(name):
            pinning.take(name)
    pinning.check_rest()
    return PinnedVersion(
        model_file=model_file,
        files=pinning.files,
        sha256=pinning.sha256,
        digest=content_digest(pinning.sha256),
        manifest=pinning.manifest,
        facts=facts,
        references=references,
    )


class _Pinning:
    """What has been read of a version so far; each file once, as its manifest says."""

    def __init__(self, place: str, read: _Read) -> None:
        self.files: dict[str, Content] = {}
        self.sha256: dict[str, str] = {}
        self.manifest: Manifest | None = None
        self._place = place
        self._read = read

    def take_manifest(self, present: Collection[str]) -> None:
        """Reads the manifest; its names must be those that are `present`.

        Both ways: a missing file is half a version, and one too many is another version's.
        """
        data = bytes(self.take(MANIFEST_FILE, Rule.MANIFEST))
        with _named(self._place):
            manifest = decode_manifest(data)
        missing = sorted(set(manifest.files) - set(present))
        if missing:
            raise ArtifactCorrupt(
                f"{self._place}/{missing[0]}: is missing; {MANIFEST_FILE} lists it"
            )
        for extra in sorted(set(present) - set(manifest.files) - {MANIFEST_FILE}):
            raise self._unlisted(extra)
        self.manifest = manifest

    def take(self, name: str, rule: Rule = Rule.PLAIN) -> Content:
        if name not in self.files:
            self.files[name] = self._hashed(name, rule)
        return self.files[name]

    def check_rest(self) -> None:
        """Files that only the manifest lists: read and compared, not kept."""
        for name in sorted(self.manifest.files if self.manifest else ()):
            if name not in self.sha256:
                self._hashed(name, Rule.PLAIN)

    def _hashed(self, name: str, rule: Rule) -> Content:
        if self.manifest is not None and name not in self.manifest.files:
            raise self._unlisted(name)
        data = self._read(name, rule)
        self.sha256[name] = hashlib.sha256(data).hexdigest()
        if self.manifest is not None:
            _compare(
                f"{self._place}/{name}", self.manifest.files[name], len(data), self.sha256[name]
            )
        return data

    def _unlisted(self, name: str) -> ArtifactCorrupt:
        return ArtifactCorrupt(f"{self._place}: {MANIFEST_FILE} does not list {quoted(name)}")


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors from inside say which file they are about."""
    try:
        yield
    except FastserveError as error:
        raise type(error)(f"{name}: {error.message}") from error


def _compare(name: str, expected: ManifestFile, size_bytes: int, sha256: str) -> None:
    if size_bytes != expected.size_bytes:
        raise ArtifactCorrupt(
            f"{name}: has {size_bytes} bytes, {MANIFEST_FILE} says {expected.size_bytes}"
        )
    if sha256 != expected.sha256:
        raise ArtifactCorrupt(
            f"{name}: has the SHA-256 {sha256[:16]}..., {MANIFEST_FILE} says "
            f"{expected.sha256[:16]}...: it was changed or copied badly"
        )


def _counts(name: str) -> bool:
    path = PurePosixPath(name)
    is_request = str(path.parent) in REQUEST_FOLDERS and path.suffix in REQUEST_SUFFIXES
    return is_request or name == PROFILE_FILE
