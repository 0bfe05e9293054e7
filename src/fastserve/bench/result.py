"""What a load measured, made from the core's counters."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastserve._core.core import LoadSnapshot
from fastserve.bench.distribution import RELATIVE_ERROR, Distribution, merged

STATUS_NAMES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)


@dataclass(frozen=True)
class Tick:
    """One interval of the run: seconds since the load began, rates, milliseconds."""

    seconds: float
    requests_per_second: float  # OK answers
    errors: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class LoadResult:
    """One load, over.

    Counts by status are of the whole run; latencies and the rate leave the warm-up out. Latency is
    that of OK answers, from when each request was due.
    """

    models: dict[str, Distribution]
    statuses: dict[str, dict[str, int]]  # by model
    examples: dict[str, str]  # a message of each status but OK
    sent: int
    unanswered: int
    unsent: int
    lost_connections: int
    received_bytes: int
    measured: int  # answers of any status
    seconds: float  # measured
    warm_up_seconds: float
    is_steady: bool  # False: the warm-up was to be detected and was not over in time
    delay: Distribution  # from due to sent
    cpu_seconds: float  # of the generator's threads
    failure: str
    offered_per_second: float  # 0: a closed loop
    ticks: list[Tick] = field(default_factory=list)
    is_interrupted: bool = False  # ended before its time by whoever ran it

    @property
    def latency(self) -> Distribution:
        return merged(self.models.values())

    @property
    def requests_per_second(self) -> float:
        """OK answers per measured second."""
        ok = sum(each.count for each in self.models.values())
        return ok / self.seconds if self.seconds > 0 else 0.0

    @property
    def errors(self) -> int:
        """Requests of the whole run without an OK answer, also those that were never sent."""
        named = (count for each in self.statuses.values() for count in each.items())
        failed = sum(count for status, count in named if status != "OK")
        return failed + self.unanswered + self.unsent

    @property
    def error_rate(self) -> float:
        return self.errors / max(1, self.sent + self.unsent)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document: numbers in the units of their names."""
        return {
            "requests_per_second": self.requests_per_second,
            "offered_per_second": self.offered_per_second or None,
            "measured_seconds": self.seconds,
            "warm_up_seconds": self.warm_up_seconds,
            "is_steady": self.is_steady,
            "interrupted": self.is_interrupted,
            "sent": self.sent,
            "measured": self.measured,
            "errors": self.errors,
            "error_rate": self.error_rate,
            "unanswered": self.unanswered,
            "unsent": self.unsent,
            "lost_connections": self.lost_connections,
            "received_bytes": self.received_bytes,
            "failure": self.failure,
            "messages": self.examples,
            "latency_ms": self.latency.as_dict(),
            "latency_relative_error": RELATIVE_ERROR,
            "latency_counts_ms": [(value / 1e6, count) for value, count in self.latency],
            "send_delay_ms": self.delay.as_dict(),
            "generator_cpu_us_per_request": self.cpu_seconds * 1e6 / max(1, self.sent),
            "models": {
                model: {"latency_ms": latency.as_dict(), "statuses": self.statuses[model]}
                for model, latency in self.models.items()
            },
            "timeline": [vars(tick) for tick in self.ticks],
        }


def make_result(
    models: Sequence[str],
    end: LoadSnapshot,
    *,
    baseline: LoadSnapshot | None,
    offered_per_second: float,
    is_steady: bool,
    is_interrupted: bool,
    ticks: list[Tick],
) -> LoadResult:
    """The result at `end`; what `baseline` had measured already counts as warm-up."""
    began_ns = baseline.now_ns if baseline else end.measure_from_ns
    seconds = max(0, end.last_reply_ns - began_ns) / 1e9
    latencies = [group.latency for group in end.groups]
    delay = end.delay
    measured = sum(group.measured for group in end.groups)
    answered = sum(sum(group.statuses) for group in end.groups)
    if baseline is not None:
        pairs = zip(end.groups, baseline.groups, strict=True)
        latencies = [difference(after.latency, before.latency) for after, before in pairs]
        delay = difference(delay, baseline.delay)
        measured -= sum(group.measured for group in baseline.groups)
    return LoadResult(
        models={m: Distribution(counts) for m, counts in zip(models, latencies, strict=True)},
        statuses={
            model: {STATUS_NAMES[code]: n for code, n in enumerate(group.statuses) if n}
            for model, group in zip(models, end.groups, strict=True)
        },
        examples={STATUS_NAMES[code]: text for code, text in end.examples.items()},
        sent=end.sent,
        # Of a load that was not awaited: what is still under way.
        unanswered=end.unanswered if end.is_done else max(0, end.sent - answered),
        unsent=end.unsent,
        lost_connections=end.lost,
        received_bytes=end.received_bytes,
        measured=measured,
        seconds=seconds,
        warm_up_seconds=max(0, began_ns - end.began_ns) / 1e9 if end.began_ns else 0.0,
        is_steady=is_steady,
        delay=Distribution(delay),
        cpu_seconds=end.busy_ns / 1e9,
        failure=end.failure,
        offered_per_second=offered_per_second,
        ticks=ticks,
        is_interrupted=is_interrupted,
    )


def difference(
    after: Sequence[tuple[float, int]], before: Sequence[tuple[float, int]]
) -> list[tuple[float, int]]:
    """What a histogram gained."""
    counts = Counter(dict(after))
    counts.subtract(dict(before))
    return [(value, count) for value, count in counts.items() if count > 0]
