"""A server with all processes that it started: counted, paused and ended together."""

from __future__ import annotations

import contextlib
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

    def pause(self) -> None:
        """Stops every process, so that another server can be measured on this core."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in _family(self.process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def __exit__(self, *error: object) -> None:
        self.resume()
        family = _family(self.process.pid)[1:]
        super().__exit__(*error)
        left: list[psutil.Process] = psutil.wait_procs(family, STOP_SECONDS / 10)[1]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, STOP_SECONDS)


def _family(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
