"""renameat2 with RENAME_EXCHANGE, which Python has no function for."""

import ctypes
import os

EXCHANGE = 2
libc = ctypes.CDLL(None, use_errno=True)


def exchange(one, other):
    """Two names change places in one step."""
    done = libc.renameat2(-100, bytes(one), -100, bytes(other), EXCHANGE)
    assert done == 0, os.strerror(ctypes.get_errno())
