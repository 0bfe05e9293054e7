"""Brings the records of ended calls from the core, and from the control plane, to their writers.

A thread of its own looks for them ten times a second: neither the data plane nor the event loop
waits for anything here. Each writer has its own thread and its own bound (observe/backlog.py), so a
collector that hangs costs spans and no line of the access log, and the other way round.
"""

import threading
from collections.abc import Sequence
from typing import Final, Protocol

from fastserve._core import core
from fastserve.observe.closing import close_together

LOOK_SECONDS: Final = 0.1
# Turned into Python objects at a time: about a millisecond with the GIL.
TAKEN_AT_ONCE: Final = 256


class CallWriter(Protocol):
    """Something that is made of records. Thread: the feed's."""

    def offer(self, records: Sequence[core.CallRecord]) -> None:
        """Takes those that are meant for it. Never waits."""

    def close(self) -> None:
        """Writes what it can in a bounded time."""


class CallFeed:
    """Call `close` when the transport is closed: what was recorded until then is handed on."""

    def __init__(self, log: core.CallLog, writers: Sequence[CallWriter]) -> None:
        self._log = log
        self._writers = tuple(writers)
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, record: core.CallRecord) -> None:
        """A call that the control plane served. Thread: any."""
        for writer in self._writers:
            writer.offer([record])

    def close(self) -> None:
        """Waits for the writers, a bounded time. Thread: not the event loop's."""
        self._is_closing.set()
        self._thread.join()
        close_together({type(writer).__name__: writer.close for writer in self._writers})

    def _run(self) -> None:
        while not self._is_closing.wait(LOOK_SECONDS):
            self._hand_on()
        self._hand_on()

    def _hand_on(self) -> None:
        while records := self._log.take(TAKEN_AT_ONCE):
            for writer in self._writers:
                writer.offer(records)
