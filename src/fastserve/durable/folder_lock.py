"""One process for one folder."""

import fcntl
import os
from pathlib import Path

from fastserve.errors import InvalidConfig


class FolderLock:
    """Holds `folder` for this process until `close`, or until the process ends in whatever way.

    The lock is the folder's own: it needs no file, so it works on a full disk. Errors:
    InvalidConfig when another process holds it, or the file system cannot lock; OSError.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError):
                raise InvalidConfig(
                    f"folder {str(folder)!r} is in use by another fastserve: stop it, or give "
                    "each server a state folder of its own"
                ) from None
            raise InvalidConfig(
                f"folder {str(folder)!r} cannot be locked: {error.strerror}; put the state "
                "folder on a local disk"
            ) from error

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
