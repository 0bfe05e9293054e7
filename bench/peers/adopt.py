"""Becomes a command that every orphan among its descendants returns to.

    python adopt.py COMMAND [ARGUMENT ...]

A server whose workers start daemons of their own then still has them all below it: they can be
counted and ended by their ids (tree.py).
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h; kept across exec


def main() -> None:
    """Replaces this process by the command."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise SystemExit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.setsid()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  the very purpose


if __name__ == "__main__":
    main()
