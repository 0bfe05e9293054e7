"""An append-only text file that gives way to a new one when it is large: `calls.log`, then `.1`.

What a failed write left of itself is cut off again, so that the next line begins a line. Nothing is
synced: the file is for reading along, and the audit log is for proofs.
"""

import errno
import os
import stat
from pathlib import Path

from fastserve.durable.replacement import write_all


class RotatingFile:
    """Opened, and made where it is not there, at once. Errors: OSError. Thread: one."""

    def __init__(self, path: Path, *, max_bytes: int, kept_files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept_files = kept_files
        self._descriptor = _open(path)

    def write(self, lines: bytes) -> None:
        """All of it in one file. Errors: OSError; nothing of `lines` is there then."""
        if self._descriptor < 0:
            self._descriptor = _open(self._path)
        # Asked each time: somebody else may have cut the file.
        size = os.fstat(self._descriptor).st_size
        if size > 0 and size + len(lines) > self._max_bytes:
            self._rotate()
            size = 0
        try:
            write_all(self._descriptor, lines, size)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _rotate(self) -> None:
        self.close()
        for number in range(self._kept_files, 1, -1):
            newer = self._numbered(number - 1)
            if newer.exists():
                newer.replace(self._numbered(number))
        if self._kept_files > 0:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()
        self._descriptor = _open(self._path)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _open(path: Path) -> int:
    # Neither a pipe without a reader nor a link that leads elsewhere; 0640: what callers are named
    # is for the operator and for a log collector in the group.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "is not a regular file", str(path))
