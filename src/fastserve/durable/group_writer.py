"""A thread that writes for others: what waits is committed together, with one wait for the disk.

The callers, an event loop among them, put items in and get futures. What waits is bounded by bytes:
a disk that hangs makes items be refused, and never memory grow.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from fastserve.errors import QueueFull, ServerDraining

MAX_GROUP_ITEMS: Final = 256

T = TypeVar("T")
R = TypeVar("R")


class GroupWriter(Generic[T, R]):
    """Calls `commit` on its own thread with groups of items in the order of their submission.

    `commit` returns a result for each item, or raises for all of them. Call `close` at the end.
    Thread: any.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[T]], Sequence[R]],
        *,
        name: str,
        max_queued_bytes: int,
    ) -> None:
        self._commit = commit
        self._name = name
        self._max_queued_bytes = max_queued_bytes
        self._changed = threading.Condition()
        self._queue: deque[tuple[T, int, Future[R]]] = deque()
        self._queued_bytes = 0
        self._is_closed = False
        # A daemon: a disk that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """Waiting or being written."""
        return self._queued_bytes

    def submit(self, item: T, size_bytes: int) -> Future[R]:
        """A future of the item's result; it cannot be cancelled. Never waits, never raises.

        It fails with what `commit` raised, with QueueFull when too much waits already, with
        ServerDraining after `close`. Callbacks run on the writer's thread.
        """
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        with self._changed:
            refusal = self._refusal(size_bytes)
            if refusal is None:
                self._queue.append((item, size_bytes, future))
                self._queued_bytes += size_bytes
                self._changed.notify()
        # Outside of the lock: callbacks may submit.
        if refusal is not None:
            future.set_exception(refusal)
        return future

    def close(self, timeout_seconds: float) -> bool:
        """Writes what waits, takes nothing more. False when the disk did not answer in time."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _refusal(self, size_bytes: int) -> Exception | None:
        if self._is_closed:
            return ServerDraining(f"{self._name} is closed")
        queued = self._queued_bytes + size_bytes
        if queued > self._max_queued_bytes:
            return QueueFull(
                f"{self._name}: {queued} bytes wait for the disk, more than "
                f"{self._max_queued_bytes}"
            )
        return None

    def _run(self) -> None:
        while group := self._take():
            items = [item for item, _, _ in group]
            try:
                results = self._commit(items)
            except Exception as error:  # noqa: BLE001 - handed to those who wait for it
                for _, _, future in group:
                    future.set_exception(error)
            else:
                for (_, _, future), result in zip(group, results, strict=True):
                    future.set_result(result)
            with self._changed:
                self._queued_bytes -= sum(size for _, size, _ in group)

    def _take(self) -> list[tuple[T, int, Future[R]]]:
        """The next group; empty when there is nothing left to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closed)
            return [self._queue.popleft() for _ in range(min(MAX_GROUP_ITEMS, len(self._queue)))]
