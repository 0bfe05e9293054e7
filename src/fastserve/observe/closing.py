"""The end of what waits for others at its end: a disk, a collector, a webhook's target.

Each has a bound of its own; one after the other they would add up to more than a supervisor grants.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from fastserve.observe.logs import get_logger

# Above the longest bound of any part (observe/capture.py): only a part that broke its own is left.
CLOSE_SECONDS: Final = 12.0

_log = get_logger("close")


def close_together(parts: Mapping[str, Callable[[], None]], seconds: float = CLOSE_SECONDS) -> None:
    """Closes all at the same time, each on a thread of its own, and waits for `seconds` at most.

    A part that fails or does not end is logged, and costs no other. Thread: not the event loop's.
    """
    threads = {
        # A daemon: a part that never ends must not keep the process from ending.
        name: threading.Thread(target=_close, args=(name, close), name=f"close {name}", daemon=True)
        for name, close in parts.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + seconds
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            _log.error("not closed in time", part=name, seconds=seconds)


def _close(name: str, close: Callable[[], None]) -> None:
    try:
        close()
    except Exception:  # noqa: BLE001 - the others are to be closed as well
        _log.exception("not closed", part=name)
