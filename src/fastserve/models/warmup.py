"""Warm-up: first runs before the first request, which also teach what a batch of each size costs.

Rows double from 1 as long as time is left. From the costs follows the largest useful batch, unless
model.toml says one: rows double while the run is short anyway and a row gets no dearer, and beyond
that while it stays within the budget of one run and makes a row cheaper by a tenth.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fastserve.errors import FastserveError

MAX_AUTOMATIC_ROWS: Final = 256
# One run may not hold an executor for longer than this on account of batching.
MAX_RUN_NS: Final = 50_000_000
# A run within this is no latency to speak of, and each batch costs the server something as well.
SHORT_RUN_NS: Final = 1_000_000
# A doubling beyond it that makes a row cheaper by less than this is not worth its latency.
MIN_GAIN_RATIO: Final = 0.10
# Of one model; more would only delay the start.
TIME_CAP_NS: Final = 500_000_000


class Cost(msgspec.Struct, frozen=True):
    """A run of `rows` rows took `run_ns`."""

    rows: int
    run_ns: int


class RowsChoice(msgspec.Struct, frozen=True):
    """The most rows of one run, and why."""

    max_rows: int
    reason: str


def measure_costs(
    run: Callable[[int], int],
    *,
    max_rows: int,
    clock: Callable[[], int] = time.monotonic_ns,
    time_cap_ns: int = TIME_CAP_NS,
) -> list[Cost]:
    """Costs at 1, 2, 4, ... rows up to `max_rows`, the better of two runs each, in time.

    `run(rows)` runs the model once and returns nanoseconds. The first run of a size also pays for
    memory that later ones reuse, hence the second. A size that is predicted to overrun the cap is
    not begun. Errors: those of `run` at one row; at more rows they end the measurement, since a
    model may refuse sizes that it was never made for.
    """
    start = clock()
    costs: list[Cost] = []
    rows = 1
    while rows <= max_rows:
        if costs and clock() - start + 4 * costs[-1].run_ns > time_cap_ns:
            break
        try:
            first = run(rows)
            again = clock() - start + first <= time_cap_ns
            costs.append(Cost(rows, min(first, run(rows)) if again else first))
        except FastserveError:
            if not costs:
                raise
            break
        rows *= 2
    return costs


def choose_max_rows(costs: Sequence[Cost], configured: int | None) -> RowsChoice:
    """The most rows of one run. `costs` ascend by rows, each twice the one before."""
    if configured is not None:
        return RowsChoice(configured, "model.toml says so")
    if not costs:
        return RowsChoice(1, "nothing was measured")
    best = costs[0]
    for cost in costs[1:]:
        obstacle = _obstacle(best, cost)
        if obstacle:
            return RowsChoice(best.rows, obstacle)
        best = cost
    bound = "chosen" if best.rows >= MAX_AUTOMATIC_ROWS else "measured"
    return RowsChoice(best.rows, f"rows get cheaper up to {best.rows}, the most that is {bound}")


def _obstacle(best: Cost, cost: Cost) -> str:
    """Why runs of `cost` are not worth it beside those of `best`; empty when they are."""
    gain = 1 - (cost.run_ns / cost.rows) / (best.run_ns / best.rows)
    if cost.run_ns <= SHORT_RUN_NS:
        is_dearer = gain < -MIN_GAIN_RATIO
        return f"{cost.rows} rows at once make a row {-gain:.0%} dearer" if is_dearer else ""
    if cost.run_ns > MAX_RUN_NS:
        return (
            f"a run of {cost.rows} rows takes {_ms(cost.run_ns)} ms, more than {_ms(MAX_RUN_NS)} ms"
        )
    if gain < MIN_GAIN_RATIO:
        verdict = f"a row {gain:.0%} cheaper, less than {MIN_GAIN_RATIO:.0%}"
        return f"{cost.rows} rows at once make {verdict}"
    return ""


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.3g}"
