"""A server with all processes that it started: counted and ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from children import STOP_SECONDS, Child

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ADOPT = Path(__file__).with_name("adopt.py")


def resident_bytes(pid: int) -> int:
    """Returns the memory in RAM of a process and its descendants; shared pages count once."""
    total = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total


def cpu_seconds(pid: int) -> float:
    """Returns the processor time that a process and its descendants took so far."""
    total = 0.0
    for process in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


class Tree(Child):
    """A process on given cores; none of its descendants outlives it."""

    def __init__(
        self,
        command: Iterable[str],
        log: Path,
        cores: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__([sys.executable, str(ADOPT), *command], log, cores, environment)

    def __exit__(self, *error: object) -> None:
        family = _family(self.process.pid)[1:]
        super().__exit__(*error)
        left: list[psutil.Process] = psutil.wait_procs(family, STOP_SECONDS / 10)[1]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what a root that ended early left behind


def _family(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
