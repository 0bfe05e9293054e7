"""Reads files of one version so that together they are what lay there at one moment.

Each file is read in one go between two looks at its inode, size and times, and looked at once more
when all have been read: had any changed since it was opened, that look would show it.
"""

import enum
import errno
import os
import stat
import time
from pathlib import Path
from typing import Final, TypeAlias

from fastserve.errors import ArtifactCorrupt
from fastserve.models.folder import Folder, is_inside
from fastserve.models.manifest import MAX_MANIFEST_BYTES

# Before Linux 6.13 a file's times moved in ticks of up to 10 ms (CONFIG_HZ=100), so that a second
# change within a tick could not be seen.
_TICK_NS: Final = 10_000_000
_ADVICE: Final = "copy into a hidden folder first, then rename"
_REASONS: Final = {
    errno.ENOENT: "is missing",
    errno.ELOOP: "is a link, or lies behind one, which is refused: copy the file itself",
    errno.EXDEV: "leads out of the version's folder",
    errno.EISDIR: "is a folder",
}

_Look: TypeAlias = tuple[int, int, int, int, int]


class Rule(enum.Enum):
    """What a file may be."""

    PLAIN = "a regular file"
    # Kubernetes volumes have links as files: allowed for the one file that stands for itself.
    MODEL = "a regular file, or a link to one inside the repository"
    # Another name of the file could be used to change it, or to read what lies elsewhere.
    EXTERNAL = "a regular file with one name"
    MANIFEST = "a small regular file"


class FileReader:
    """Reads from one open folder, at most `max_bytes` in all. Thread: one."""

    def __init__(self, folder: Folder, root: Path, max_bytes: int) -> None:
        self._folder = folder
        self._root = root
        self._max_bytes = max_bytes
        self._left_bytes = max_bytes
        self._looks: dict[str, _Look] = {}

    def read(self, name: str, rule: Rule) -> bytes:
        """The whole file. Errors: ArtifactCorrupt. Never blocks on a pipe or a device."""
        descriptor = self._open(name, rule)
        try:
            status = _aged_status(descriptor)
            self._check(name, rule, status)
            look = _look(status)
            data = _read_all(descriptor, status.st_size)
            if len(data) != status.st_size or _look(os.fstat(descriptor)) != look:
                raise self._changed(name)
        finally:
            os.close(descriptor)
        self._left_bytes -= len(data)
        self._looks[name] = look
        return data

    def check_unchanged(self) -> None:
        """Errors: ArtifactCorrupt when a file that was read is not the one that lies there now."""
        for name, look in self._looks.items():
            try:
                status = self._folder.status(name)
            except OSError:
                raise self._changed(name) from None
            if _look(status) != look:
                raise self._changed(name)

    def _open(self, name: str, rule: Rule) -> int:
        try:
            return self._folder.open_file(name)
        except OSError as error:
            if error.errno != errno.ELOOP or rule is not Rule.MODEL:
                raise self._refusal(name, error) from error
        try:
            descriptor = self._folder.open_linked_file(name)
        except OSError as error:
            raise self._refusal(name, error) from error
        if not is_inside(descriptor, self._root):
            os.close(descriptor)
            raise ArtifactCorrupt(f"{self._folder.name}/{name}: leads out of the repository")
        return descriptor

    def _check(self, name: str, rule: Rule, status: os.stat_result) -> None:
        where = f"{self._folder.name}/{name}"
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactCorrupt(f"{where}: is not a regular file")
        if rule is Rule.EXTERNAL and status.st_nlink != 1:
            raise ArtifactCorrupt(
                f"{where}: has {status.st_nlink} names (hard links), which is refused for external "
                "data: copy the file itself"
            )
        limit = MAX_MANIFEST_BYTES if rule is Rule.MANIFEST else self._max_bytes
        if status.st_size > min(limit, self._left_bytes):
            what = "makes the version larger than" if status.st_size <= limit else "more than"
            raise ArtifactCorrupt(
                f"{where}: has {status.st_size} bytes, {what} the limit of {limit}"
            )

    def _refusal(self, name: str, error: OSError) -> ArtifactCorrupt:
        reason = _REASONS.get(error.errno or 0, f"cannot be opened: {error.strerror}")
        return ArtifactCorrupt(f"{self._folder.name}/{name}: {reason}")

    def _changed(self, name: str) -> ArtifactCorrupt:
        return ArtifactCorrupt(f"{self._folder.name}/{name}: changed while it was read; {_ADVICE}")


def _aged_status(descriptor: int) -> os.stat_result:
    """The file's status, such that a change from now on shows in its times."""
    status = os.fstat(descriptor)
    fresh_ns = status.st_ctime_ns + _TICK_NS - time.time_ns()
    if not 0 < fresh_ns <= _TICK_NS:
        return status
    time.sleep(fresh_ns / 1e9)
    return os.fstat(descriptor)


def _look(status: os.stat_result) -> _Look:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _read_all(descriptor: int, size: int) -> bytes:
    """`size` bytes, or more or fewer when the file has them; never much more."""
    data = os.read(descriptor, size + 1)
    if len(data) > size or not data:
        return data
    # One call reads at most 2 GiB - 4 KiB.
    pieces = [data]
    total = len(data)
    while total <= size and (data := os.read(descriptor, size + 1 - total)):
        pieces.append(data)
        total += len(data)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
