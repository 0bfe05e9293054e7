"""Items on their way to a thread that may be slower than whoever makes them.

Bounded, and never waited for: what finds no room is dropped, and the maker told how much.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastserve.observe.logs import get_logger

T = TypeVar("T")

_log = get_logger("observe")


class Backlog(Generic[T]):
    """Calls `handle` on its own thread with groups of items, in their order. Thread: any.

    `handle` counts its own failures; an exception from it is a bug, is logged and costs its group.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[T]], None],
        *,
        name: str,
        max_items: int,
        max_group: int,
    ) -> None:
        self._handle = handle
        self._max_items = max_items
        self._max_group = max_group
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._is_closed = False
        # A daemon: a disk or a collector that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, items: Sequence[T]) -> int:
        """How many of `items`, the last ones, found no room. Never waits for `handle`."""
        with self._changed:
            room = 0 if self._is_closed else self._max_items - len(self._items)
            self._items.extend(items[: max(0, room)])
            self._changed.notify()
        return max(0, len(items) - room)

    def close(self, seconds: float) -> int:
        """Lets what waits be handled for so long; how many items were left."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            left = len(self._items)
            self._items.clear()
        return left

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._items and not self._is_closed:
                    self._changed.wait()
                if not self._items:
                    return
                count = min(self._max_group, len(self._items))
                group = [self._items.popleft() for _ in range(count)]
            try:
                self._handle(group)
            except Exception as error:  # noqa: BLE001 - the thread must go on
                _log.error("calls lost", thread=self._thread.name, count=count, exc_info=error)
