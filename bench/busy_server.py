"""`fastserve` with one more Python thread in its process that never stops computing.

The figure that compares it with the plain server shows what the control plane's Python can do to an
inference: nothing, since no inference waits for the GIL.
"""

from __future__ import annotations

import threading

from fastserve.cli import main


def compute_for_ever() -> None:
    """Holds the GIL as much as a thread can."""
    number = 0
    while True:
        number = (number * 31 + 7) % 1_000_003


if __name__ == "__main__":
    threading.Thread(target=compute_for_ever, daemon=True).start()
    main()
