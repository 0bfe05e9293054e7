"""The outside of a version's folder: what a watcher compares to see that nobody writes any more."""

import os
from pathlib import Path

import msgspec

from fastserve.models.folder import Entry, Folder


class Fingerprint(msgspec.Struct, frozen=True):
    """Names, sizes, times and inodes of all that is visible. Hashable.

    Two that are equal, an interval apart, say that the folder has settled. They say nothing about
    contents: a version is what its files hash to.
    """

    # Of the folder itself: another one in its place is another version.
    inode: int
    mtime_ns: int
    entries: tuple[Entry, ...]

    @property
    def newest_mtime_ns(self) -> int:
        """When something was last written or added, by the clock of the file system."""
        return max([self.mtime_ns, *(entry.mtime_ns for entry in self.entries)])


def fingerprint(folder: Path, root: Path) -> Fingerprint:
    """Describes the folder without opening a file.

    Errors: ArtifactCorrupt when it is gone, lies outside of `root`, or holds too much.
    """
    with Folder(folder, root, name=f"{folder.parent.name}/{folder.name}") as opened:
        entries = tuple(opened.entries())
        status = os.fstat(opened.descriptor)
    return Fingerprint(status.st_ino, status.st_mtime_ns, entries)
