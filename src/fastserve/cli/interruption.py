"""Ctrl-C as a wish that the command hears when it can, not an exception at any line."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def counted_interrupts() -> Iterator[Callable[[], int]]:
    """Counts SIGINT while it lasts; gives a function that tells the count.

    Where the signal is ignored, or this is not the main thread, nothing changes and the count is 0.
    """
    count = 0

    def on_interrupt(_number: int, _frame: object) -> None:
        nonlocal count
        count += 1

    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    is_counted = is_main and before not in {signal.SIG_IGN, None}
    if is_counted:
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: count
    finally:
        if is_counted:
            signal.signal(signal.SIGINT, before)
