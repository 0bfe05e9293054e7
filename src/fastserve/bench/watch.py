"""Runs one load to its end: looks at it in ticks, finds where the warm-up is over."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from fastserve._core.core import LoadRun, LoadSnapshot
from fastserve.bench.distribution import Distribution, merged
from fastserve.bench.plan import Payload, Plan, Target, models_of, start
from fastserve.bench.result import LoadResult, Tick, difference, make_result

TICK_SECONDS: Final = 0.25
# A warm-up that shall be detected is given up after so long.
LONGEST_WARM_UP_SECONDS: Final = 10.0
# Steady: in so many ticks, no rate and no median is farther from their mean than these shares.
_STEADY_TICKS: Final = 4
_RATE_SHARE: Final = 0.1
_MEDIAN_SHARE: Final = 0.25


def run_load(
    target: Target,
    payloads: Sequence[Payload],
    plan: Plan,
    *,
    detect_warm_up: bool = False,
    on_tick: Callable[[LoadSnapshot, list[Tick]], None] | None = None,
    interrupts: Callable[[], int] = lambda: 0,
) -> LoadResult:
    """Blocks until the load is over. `on_tick` sees it four times a second.

    With `detect_warm_up` the plan's seconds begin when the answers have become steady; a load that
    ends by its number of requests before that is measured whole.
    `interrupts` tells how often somebody wanted the end: after the first time nothing more is sent
    and answers are awaited, after the second they are not.
    Errors: InvalidConfig, and those of `start`. A KeyboardInterrupt ends the load and passes on.
    """
    seconds = plan.seconds
    if detect_warm_up:
        plan = replace(plan, warm_up_seconds=0.0)
        if seconds is not None:
            plan = replace(plan, seconds=seconds + LONGEST_WARM_UP_SECONDS)
    elif seconds is not None:
        plan = replace(plan, seconds=seconds + plan.warm_up_seconds)
    run = start(target, payloads, plan)
    try:
        ticks, baseline, is_steady = _follow(run, seconds, detect_warm_up, on_tick, interrupts)
        end = run.snapshot()
    finally:
        run.close()
    return make_result(
        models_of(payloads),
        end,
        baseline=baseline,
        offered_per_second=plan.requests_per_second,
        is_steady=is_steady,
        is_interrupted=interrupts() > 0,
        ticks=ticks,
    )


def _follow(
    run: LoadRun,
    seconds: float | None,
    detect_warm_up: bool,
    on_tick: Callable[[LoadSnapshot, list[Tick]], None] | None,
    interrupts: Callable[[], int],
) -> tuple[list[Tick], LoadSnapshot | None, bool]:
    ticks: list[Tick] = []
    before = run.snapshot()
    baseline: LoadSnapshot | None = None
    is_steady = not detect_warm_up
    until = float("inf")
    while not run.wait(min(TICK_SECONDS, max(0.0, until - time.monotonic()))):
        if interrupts() > 1:
            break
        if interrupts() or time.monotonic() >= until:
            run.stop()
            until = float("inf")
        now = run.snapshot()
        if now.began_ns == 0:
            continue
        ticks.append(tick_between(before, now))
        before = now
        if on_tick is not None:
            on_tick(now, ticks)
        if detect_warm_up and baseline is None:
            is_steady = are_steady(ticks)
            if is_steady or ticks[-1].seconds >= LONGEST_WARM_UP_SECONDS:
                baseline = now
                if seconds is not None:
                    until = time.monotonic() + seconds
    return ticks, baseline, is_steady


def tick_between(before: LoadSnapshot, now: LoadSnapshot) -> Tick:
    """What happened between two snapshots."""
    began_ns = max(before.now_ns, now.began_ns)
    seconds = max(1, now.now_ns - began_ns) / 1e9
    pairs = list(zip(now.groups, before.groups, strict=True))
    latency = merged(Distribution(difference(a.latency, b.latency)) for a, b in pairs)
    ok = sum(a.statuses[0] - b.statuses[0] for a, b in pairs)
    answered = sum(sum(a.statuses) - sum(b.statuses) for a, b in pairs)
    return Tick(
        seconds=(now.now_ns - now.began_ns) / 1e9,
        requests_per_second=ok / seconds,
        errors=answered - ok,
        p50_ms=latency.percentile(50) / 1e6,
        p99_ms=latency.percentile(99) / 1e6,
    )


def are_steady(ticks: Sequence[Tick]) -> bool:
    """The last ticks are so alike that the warm-up is over."""
    last = ticks[-_STEADY_TICKS:]
    if len(last) < _STEADY_TICKS or not all(tick.requests_per_second for tick in last):
        return False
    return _are_alike([tick.requests_per_second for tick in last], _RATE_SHARE) and _are_alike(
        [tick.p50_ms for tick in last], _MEDIAN_SHARE
    )


def _are_alike(values: Sequence[float], share: float) -> bool:
    mean = sum(values) / len(values)
    return all(abs(value - mean) <= share * mean for value in values)
