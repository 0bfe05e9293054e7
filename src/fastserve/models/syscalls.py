"""Two calls of Linux that Python does not offer: openat2 and renameat2.

Source: man 2 openat2, man 2 renameat2.
"""

import ctypes
import errno
import os
import stat
from typing import Final

_OPENAT2: Final = 437  # the same number on every architecture
_NO_MAGICLINKS: Final = 0x02
_NO_SYMLINKS: Final = 0x04
_BENEATH: Final = 0x08
_NOREPLACE: Final = 1
# A kernel before 5.6 has no openat2; a container's filter may forbid what it does not know.
_ABSENT: Final = (errno.ENOSYS, errno.EPERM)
# A file system without flags for renames says EINVAL.
_NO_FLAGS: Final = (errno.ENOSYS, errno.EPERM, errno.EINVAL)

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_beneath(folder: int, name: str, flags: int) -> int:
    """A descriptor of what lies below the open folder under a relative name, never through a link.

    Errors: OSError; ELOOP for a link in any place of the name.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    opened = _libc.syscall(
        _OPENAT2,
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(name)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if opened >= 0:
        return int(opened)
    code = ctypes.get_errno()
    if code in _ABSENT:
        return open_by_steps(folder, name, flags)
    raise OSError(code, os.strerror(code), name)


def open_by_steps(folder: int, name: str, flags: int) -> int:
    """As `open_beneath`, one part of the name at a time. Errors: OSError."""
    *parents, last = name.split("/")
    if ".." in (*parents, last) or name.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    here = folder
    try:
        for parent in parents:
            inner = os.open(parent, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            if here != folder:
                os.close(here)
            here = inner
            # O_PATH with O_NOFOLLOW opens the link itself.
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        return os.open(last, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    finally:
        if here != folder:
            os.close(here)


def rename_new(folder: int, old: str, new: str) -> None:
    """Renames a folder within an open one; never replaces a version. Errors: FileExistsError."""
    done = _libc.renameat2(
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(old)),
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(new)),
        ctypes.c_uint(_NOREPLACE),
    )
    if done == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_FLAGS:
        raise OSError(code, os.strerror(code), new)
    try:
        # Replaces an empty folder at most, which is nobody's version.
        os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
        raise
