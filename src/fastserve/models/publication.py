"""Writes a version so that it appears at once, whole, and never in another's place.

Files go into a hidden folder beside the versions, the manifest last; everything is made durable;
then one rename makes it a version. The writer holds a lock on the hidden folder: one that nobody
holds was left by a writer that died, and the next one removes it.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from fastserve.errors import FastserveError, InvalidConfig, VersionAlreadyLoaded, quoted
from fastserve.models.folder import is_inside
from fastserve.models.manifest import (
    MANIFEST_FILE,
    MAX_FILES,
    Manifest,
    ManifestFile,
    content_digest,
    encode_manifest,
    file_name_problem,
)
from fastserve.models.repository import (
    check_model_name,
    check_version_number,
    parse_version_folder,
)
from fastserve.models.syscalls import rename_new

_INCOMING: Final = ".incoming-"
# Writers that take the next number at the same time; each round one of them gets it.
_MAX_ATTEMPTS: Final = 1000
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PublishedVersion(msgspec.Struct, frozen=True):
    """What was written. `digest` is what the version has when it is read."""

    number: int
    digest: str
    size_bytes: int


def write_version(
    repository: Path,
    model: str,
    number: int | None,
    files: Iterable[tuple[str, Iterable[bytes]]],
    *,
    lineage: Mapping[str, str] = {},
    max_bytes: int,
) -> PublishedVersion:
    """Publishes `files` (name, pieces of content) as a version; without a number, as the next one.

    Errors: InvalidConfig for a name, number or lineage that cannot be, for more than `max_bytes`,
    or when the disk refuses; VersionAlreadyLoaded when the number is taken. Nothing is left behind
    then. Thread: any number at once, in any number of processes.
    """
    check_model_name(model)
    if number is not None:
        check_version_number(number)
    try:
        with _model_folder(repository, model) as folder:
            if number is not None and _exists(folder, str(number)):
                raise _taken(model, number)
            _remove_stale(folder)
            with _incoming(folder) as (name, descriptor):
                writer = _Writer(descriptor, max_bytes)
                writer.write_all(files, lineage)
                taken = _publish(folder, name, model, number)
    except OSError as error:
        # `files` may come from a connection, whose errors are its caller's.
        if isinstance(error, FastserveError) or error.strerror is None:
            raise
        raise InvalidConfig(
            f"model {quoted(model)} cannot be written to the repository: {error.strerror}"
        ) from error
    return PublishedVersion(taken, writer.digest, writer.size_bytes)


class _Writer:
    """Writes files below one open folder and remembers what it wrote."""

    def __init__(self, folder: int, max_bytes: int) -> None:
        self.files: dict[str, ManifestFile] = {}
        self.size_bytes = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._subfolders: set[str] = set()

    @property
    def digest(self) -> str:
        return content_digest({name: file.sha256 for name, file in self.files.items()})

    def write_all(
        self, files: Iterable[tuple[str, Iterable[bytes]]], lineage: Mapping[str, str]
    ) -> None:
        """The files, then their manifest, durable with the folders they lie in."""
        for name, pieces in files:
            self._add(name, pieces)
        if not self.files:
            raise InvalidConfig("a version without files cannot be served")
        manifest = encode_manifest(Manifest(files=self.files, lineage=dict(lineage)))
        self._write(MANIFEST_FILE, [manifest])
        for subfolder in sorted(self._subfolders, reverse=True):
            descriptor = os.open(subfolder, _FOLDER, dir_fd=self._folder)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        os.fsync(self._folder)

    def _add(self, name: str, pieces: Iterable[bytes]) -> None:
        problem = file_name_problem(name)
        if not problem and name == MANIFEST_FILE:
            problem = "is written by the server itself"
        if not problem and name in self.files:
            problem = "is given twice"
        if not problem and len(self.files) >= MAX_FILES:
            problem = f"is one more than the limit of {MAX_FILES} files"
        if problem:
            raise InvalidConfig(f"file {quoted(name)} {problem}")
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            subfolder = "/".join(parts[:depth])
            if subfolder not in self._subfolders:
                self._make_folder(name, subfolder)
        self.files[name] = self._write(name, pieces)

    def _write(self, name: str, pieces: Iterable[bytes]) -> ManifestFile:
        digest = hashlib.sha256()
        size = 0
        try:
            descriptor = os.open(name, _NEW_FILE, 0o644, dir_fd=self._folder)
        except (FileExistsError, IsADirectoryError):
            raise InvalidConfig(f"file {quoted(name)} is a folder as well") from None
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            for piece in pieces:
                size += len(piece)
                if self.size_bytes + size > self._max_bytes and name != MANIFEST_FILE:
                    raise InvalidConfig(
                        f"file {quoted(name)} makes the version larger than the limit of "
                        f"{self._max_bytes} bytes"
                    )
                digest.update(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(descriptor)
        if name != MANIFEST_FILE:
            self.size_bytes += size
        return ManifestFile(size, digest.hexdigest())

    def _make_folder(self, name: str, subfolder: str) -> None:
        try:
            os.mkdir(subfolder, 0o755, dir_fd=self._folder)
        except FileExistsError:
            raise InvalidConfig(f"file {quoted(name)} lies below another file") from None
        self._subfolders.add(subfolder)


@contextlib.contextmanager
def _model_folder(repository: Path, model: str) -> Iterator[int]:
    """The model's open folder; one that was made for a version that failed goes again."""
    with contextlib.ExitStack() as stack:
        root = os.open(repository, _FOLDER)
        stack.callback(os.close, root)
        try:
            os.mkdir(model, 0o755, dir_fd=root)
            os.fsync(root)
            is_new = True
        except FileExistsError:
            is_new = False
        folder = os.open(model, _FOLDER, dir_fd=root)
        stack.callback(os.close, folder)
        if not is_inside(folder, repository):
            raise InvalidConfig(f"model {quoted(model)} leads out of the repository")
        try:
            yield folder
        except BaseException:
            # Not if somebody else has published meanwhile: it is not empty then.
            with contextlib.suppress(OSError):
                if is_new:
                    os.rmdir(model, dir_fd=root)
            raise


@contextlib.contextmanager
def _incoming(folder: int) -> Iterator[tuple[str, int]]:
    """A hidden folder of our own, locked; removed at the end unless it has become a version."""
    name, descriptor = _make_incoming(folder)
    try:
        yield name, descriptor
    finally:
        try:
            if _same(folder, name, descriptor):
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        finally:
            os.close(descriptor)


def _make_incoming(folder: int) -> tuple[str, int]:
    while True:
        name = _INCOMING + secrets.token_hex(8)
        os.mkdir(name, 0o755, dir_fd=folder)
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks has no sweepers either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # A sweeper may have come between the making and the lock.
        if _same(folder, name, descriptor):
            return name, descriptor
        os.close(descriptor)


def _remove_stale(folder: int) -> None:
    for name in os.listdir(folder):
        if not name.startswith(_INCOMING):
            continue
        try:
            descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(folder, name, descriptor):
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
        except OSError:
            pass  # its writer lives
        finally:
            os.close(descriptor)


def _publish(folder: int, name: str, model: str, number: int | None) -> int:
    for _ in range(_MAX_ATTEMPTS):
        chosen = _next_number(folder) if number is None else number
        check_version_number(chosen)
        try:
            rename_new(folder, name, str(chosen))
        except FileExistsError:
            if number is not None:
                raise _taken(model, number) from None
            continue
        os.fsync(folder)
        return chosen
    raise InvalidConfig(f"model {quoted(model)}: no number is left free by other writers")


def _next_number(folder: int) -> int:
    numbers = (parse_version_folder(name) for name in os.listdir(folder))
    return max((number for number in numbers if number is not None), default=0) + 1


def _taken(model: str, number: int) -> VersionAlreadyLoaded:
    return VersionAlreadyLoaded(
        f"{model}/{number} exists already and is never overwritten: leave the number out to "
        "publish as the next version"
    )


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _same(folder: int, name: str, descriptor: int) -> bool:
    """Is the open folder still the one of that name?"""
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return stat.S_ISDIR(there.st_mode) and (there.st_dev, there.st_ino) == (
        here.st_dev,
        here.st_ino,
    )
