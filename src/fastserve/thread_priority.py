"""Threads that give way: what may take longer, so that answers do not.

Thread: any.
"""

import os
from typing import Final

# A tenth of what a serving thread gets on the same core. At 19 it would be a seventieth: on a
# saturated machine loads then take minutes, and the interpreter's lock waits for them.
_NICE: Final = 10


def lower_priority() -> None:
    """Of the calling thread, for good. Linux keeps a nice value for each thread.

    A server that was started with a lower priority still keeps that: only root may raise it.
    """
    nice = max(_NICE, os.getpriority(os.PRIO_PROCESS, 0))  # 0: of the calling thread
    os.setpriority(os.PRIO_PROCESS, 0, nice)
