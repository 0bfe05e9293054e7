"""Replacing a file so that a crash leaves the old one or the new one, never a part of either.

Source: Pillai et al., "All File Systems Are Not Created Equal" (OSDI'14): without the fsync before
the rename the new name may point to nothing, without the one after it the old file may come back.

Thread: any; every function waits for the disk.
"""

import contextlib
import os
import stat
from pathlib import Path

from fastserve.errors import ArtifactCorrupt


def replace_file(path: Path, data: bytes) -> None:
    """`path` holds `data`, durably, when this returns. One writer at a time.

    Errors: OSError; `path` is then the old file, or, if the folder alone could not be synced, the
    new one.
    """
    # One fixed name: what a crash leaves behind is overwritten by the next replacement.
    partial = path.with_name(f".{path.name}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(partial, flags, 0o600)
    try:
        try:
            write_all(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        partial.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Names that were made, renamed or removed in `folder` are durable when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Writes `data` at `offset`, however many calls that takes. Errors: OSError."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest = rest[written:]
        offset += written


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file; never waits for a pipe, never follows a link at its end.

    Errors: OSError; ArtifactCorrupt when something else has that name.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise ArtifactCorrupt(f"{path.name}: is not a regular file")
