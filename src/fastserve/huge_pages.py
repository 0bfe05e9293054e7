"""Large allocations in pages of 2 MiB, for the server's process.

A load takes the bytes of a model three times: as read, as parsed, as laid out for the kernels. In
pages of 4 KiB each takes a fault, 73,000 for a model of 100 MB, and their mapping and unmapping
holds a core for longer than anything else in a load; requests on that core wait meanwhile. glibc
asks the kernel for large pages when a tunable says so, which it reads when a process begins. So
`serve` begins its process again, before anything is imported. Chosen with
`bench/lifecycle.py --only p99`.

Imports nothing but the interpreter's own, and is quick: it runs before the rest.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_VARIABLE = "GLIBC_TUNABLES"
_TUNABLE = "glibc.malloc.hugetlb"
_FIRST_GLIBC = (2, 35)
_SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def begin_again(arguments: Sequence[str]) -> None:
    """Returns where large pages are had already, or cannot be had, or `arguments` do not serve.

    Otherwise the same process runs the same program with the tunable set.
    """
    if arguments[:1] != ["serve"] or not sys.executable or not _is_worth_it(_SWITCH, _libc()):
        return
    environment = asking(os.environ)
    if environment is not None:
        # Without them the server serves as well.
        with contextlib.suppress(OSError):
            os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - our own program


def asking(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment with the tunable in it; None when it says something of it already."""
    given = environment.get(_VARIABLE, "")
    if _TUNABLE in given:
        return None
    tunables = f"{given}:{_TUNABLE}=1" if given else f"{_TUNABLE}=1"
    return {**environment, _VARIABLE: tunables}


def not_asking(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without it, for a process whose memory is measured page by page."""
    kept = [
        tunable
        for tunable in environment.get(_VARIABLE, "").split(":")
        if tunable and not tunable.startswith(_TUNABLE)
    ]
    rest = {name: value for name, value in environment.items() if name != _VARIABLE}
    return {**rest, _VARIABLE: ":".join(kept)} if kept else rest


def _is_worth_it(switch: Path, libc: str) -> bool:
    """Whether the kernel gives large pages to those who ask, and to them alone, and glibc can."""
    try:
        is_by_request = "[madvise]" in switch.read_text(encoding="ascii")
        version = tuple(int(part) for part in libc.removeprefix("glibc ").split(".")[:2])
    except (OSError, ValueError):
        return False
    return is_by_request and version >= _FIRST_GLIBC


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""
