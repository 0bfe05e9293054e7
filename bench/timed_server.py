"""`fastserve` that tells how long it takes from a LoadModel's arrival until its effect.

Arrival: the control plane takes the call's first event from the core's bridge. Effect: the engine's
publish has returned, from when on every request that starts is answered by the version that serves
then. One line a call, "effect MICROSECONDS", on the error stream.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from fastserve.cli import main
from fastserve.models.catalog import Catalog
from fastserve.rpc.native import NativeBridge

if TYPE_CHECKING:
    from fastserve.models.record import ModelRecord

PATH = "/fastserve.v1.Control/LoadModel"


class Stopwatch:
    """From the arrival of a call to the first publish after it."""

    def __init__(self) -> None:
        self.arrived_ns = 0

    def arrive(self) -> None:
        """Starts at a call's first event."""
        self.arrived_ns = time.perf_counter_ns()

    def effect(self) -> None:
        """Ends at the first publish; what later ones do is not the call's effect."""
        if self.arrived_ns:
            microseconds = (time.perf_counter_ns() - self.arrived_ns) / 1000
            self.arrived_ns = 0
            sys.stderr.write(f"effect {microseconds:.1f}\n")


def watch(stopwatch: Stopwatch) -> None:
    """Notes arrivals and effects of a server that is made in this process."""
    # The product has no hook for this: only the bench needs it.
    begin, publish = NativeBridge._begin, Catalog.publish  # noqa: SLF001

    def noted_begin(bridge: NativeBridge, number: int, path: str, *rest: Any) -> None:
        if path == PATH:
            stopwatch.arrive()
        begin(bridge, number, path, *rest)

    def noted_publish(catalog: Catalog, model: ModelRecord) -> None:
        publish(catalog, model)
        stopwatch.effect()

    NativeBridge._begin = noted_begin  # type: ignore[assignment, method-assign] # noqa: SLF001
    Catalog.publish = noted_publish  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    watch(Stopwatch())
    main()
