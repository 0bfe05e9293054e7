"""A folder opened once: what is in it is then found from there, whatever happens to the path.

Links may lead to the folder, as Kubernetes volumes have them, as long as they end inside the
repository. Below it none is followed.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from fastserve.errors import ArtifactCorrupt, quoted
from fastserve.models.manifest import MAX_DEPTH, MAX_FILES
from fastserve.models.syscalls import open_beneath

_READ_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_READ_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Entry(msgspec.Struct, frozen=True):
    """What a folder holds, as the kernel describes it without opening it.

    Of a link that leads to something, the numbers are those of what it leads to.
    """

    name: str
    is_folder: bool
    is_link: bool
    size_bytes: int
    mtime_ns: int
    inode: int


class Folder:
    """An open folder inside `root`. Closed by `with`. Thread: any, one at a time."""

    def __init__(self, path: Path, root: Path, *, name: str) -> None:
        """Errors: ArtifactCorrupt when there is no such folder, or it lies outside of `root`."""
        self.name = name
        try:
            self.descriptor = os.open(path, _READ_FOLDER)
        except OSError as error:
            raise ArtifactCorrupt(f"{name}: cannot be opened: {error.strerror}") from error
        if not is_inside(self.descriptor, root):
            os.close(self.descriptor)
            raise ArtifactCorrupt(f"{name}: leads out of the repository")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)

    def open_file(self, name: str) -> int:
        """A descriptor to read from; never blocks on a pipe. Errors: OSError."""
        return open_beneath(self.descriptor, name, _READ_FILE)

    def open_linked_file(self, name: str) -> int:
        """As `open_file`, through links wherever they lead: ask `is_inside` about the result."""
        return os.open(name, _READ_FILE, dir_fd=self.descriptor)

    def status(self, name: str) -> os.stat_result:
        """Of the file, through links. Errors: OSError."""
        return os.stat(name, dir_fd=self.descriptor)

    def entries(self) -> list[Entry]:
        """All that is visible, in all its folders, by name.

        Errors: ArtifactCorrupt when that is more, or lies deeper, than any version does, or when
        something goes away meanwhile.
        """
        found: list[Entry] = []
        pending = [""]
        while pending:
            prefix = pending.pop()
            if prefix.count("/") >= MAX_DEPTH:
                raise ArtifactCorrupt(
                    f"{self.name}: {quoted(prefix)} lies deeper than {MAX_DEPTH} folders"
                )
            for entry in self._entries_of(prefix):
                found.append(entry)
                if len(found) > MAX_FILES:
                    raise ArtifactCorrupt(f"{self.name}: holds more than {MAX_FILES} entries")
                if entry.is_folder and not entry.is_link:
                    pending.append(f"{entry.name}/")
        return sorted(found, key=lambda entry: entry.name)

    def _entries_of(self, prefix: str) -> Iterator[Entry]:
        try:
            if prefix:
                descriptor = open_beneath(self.descriptor, prefix.rstrip("/"), _READ_FOLDER)
            else:
                descriptor = os.open(".", _READ_FOLDER, dir_fd=self.descriptor)
            try:
                with os.scandir(descriptor) as listed:
                    for item in listed:
                        if not item.name.startswith("."):
                            yield _entry(prefix, item)
            finally:
                os.close(descriptor)
        except OSError as error:
            # It was there a moment ago: somebody is writing.
            reason = "changed while it was listed" if error.errno in _GONE else error.strerror
            raise ArtifactCorrupt(f"{self.name}: {quoted(prefix or '.')}: {reason}") from error


def is_inside(descriptor: int, root: Path) -> bool:
    """Where what was opened really lies: a link that is swapped meanwhile changes nothing."""
    return Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(root.resolve())


def _entry(prefix: str, item: os.DirEntry[str]) -> Entry:
    status = item.stat(follow_symlinks=False)
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link:
        # One that leads nowhere, or in circles, is described by itself.
        with contextlib.suppress(OSError):
            status = item.stat()
    return Entry(
        name=prefix + item.name,
        is_folder=stat.S_ISDIR(status.st_mode),
        is_link=is_link,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
    )
