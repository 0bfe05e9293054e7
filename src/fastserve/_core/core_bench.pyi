"""What of the core makes load: `fastserve bench`.

A part of core.pyi in a file of its own; at run time all of it is in `core`.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

class LoadGroup(NamedTuple):
    """The answers to the payloads of one group. Whole-run but for what is said to be measured."""

    statuses: tuple[int, ...]  # answers by gRPC status number
    measured: int  # of any status, due after the warm-up
    measured_ok: int
    # (nanoseconds, count) of measured OK answers since they were due; within 1/256, ascending.
    latency: list[tuple[float, int]]

class LoadSnapshot(NamedTuple):
    """Counters so far. Times are of the monotonic clock; 0: not yet."""

    groups: list[LoadGroup]
    sent: int
    unanswered: int  # given up after the drain
    unsent: int  # of an open loop: due, and no call was free until the end of the drain
    connects: int
    lost: int  # connections that broke
    received_bytes: int
    busy_ns: int  # CPU time of the generator's threads
    delay: list[tuple[float, int]]  # measured, from due to sent
    examples: dict[int, str]  # the first message of each status but OK
    failure: str  # why the load was given up; empty while it was not
    began_ns: int
    measure_from_ns: int  # -1 before the load began
    last_reply_ns: int  # to a measured request
    now_ns: int
    is_done: bool

@final
class LoadRun:
    """A load that runs on threads of its own since it was made.

    `payloads`: (group, message). `per_second` 0 is a closed loop. -1 as a duration or deadline:
    none. `tls`: authorities (of the system when empty), certificate and key (or both empty) as PEM;
    None: no TLS. `server_name`: what the server's certificate must be for.
    Raises CoreError 14 with what could not be reached, 3 for options that make no load and PEM that
    cannot be used.
    Thread: any, one call at a time; the GIL is released.
    """

    def __init__(
        self,
        payloads: Sequence[tuple[int, bytes]],
        *,
        groups: int,
        host: str = "",
        port: int = 0,
        unix_path: str = "",
        tls: tuple[bytes, bytes, bytes] | None = None,
        server_name: str = "",
        path: str,
        authority: str,
        headers: Sequence[tuple[str, str | bytes]] = (),
        threads: int,
        connections: int,
        in_flight: int,
        per_second: float,
        is_poisson: bool,
        seed: int,
        max_requests: int,
        duration_ns: int,
        warm_up_ns: int,
        deadline_ns: int,
        drain_ns: int,
        connect_timeout_ns: int,
    ) -> None: ...
    def snapshot(self) -> LoadSnapshot: ...
    def stop(self) -> None:
        """Sends nothing more; the load ends once the answers under way have come."""

    def wait(self, seconds: float) -> bool:
        """Blocks until the load is over or the time has passed. Returns whether it is over."""

    def close(self) -> None:
        """Ends the load at once."""
