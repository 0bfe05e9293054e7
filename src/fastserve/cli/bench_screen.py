"""A load in a terminal: a live view while it runs, tables when it is over."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from fastserve._core.core import LoadSnapshot
from fastserve.bench.comparison import Comparison
from fastserve.bench.result import LoadResult, Tick
from fastserve.bench.sweep import Sweep
from fastserve.cli.drift_screen import sparkline
from fastserve.cli.screen import print_table, printable

# Of one round there is no interval.
LEAST_ROUNDS: Final = 2

OnTick = Callable[[LoadSnapshot, list[Tick]], None]


@contextlib.contextmanager
def live_view(*, is_shown: bool) -> Iterator[OnTick | None]:
    """Shows ticks as they come, on a terminal alone; gives None where nothing is to be shown."""
    if not is_shown or not sys.stdout.isatty():
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to load
    from rich.live import Live  # noqa: PLC0415

    with Live(console=Console(highlight=False), auto_refresh=False, transient=True) as live:

        def on_tick(now: LoadSnapshot, ticks: list[Tick]) -> None:
            live.update("\n".join(live_lines(now, ticks)), refresh=True)

        yield on_tick


def live_lines(now: LoadSnapshot, ticks: list[Tick]) -> list[str]:
    """What the live view says."""
    last = ticks[-1]
    rates = [tick.requests_per_second for tick in ticks]
    p99s = [tick.p99_ms for tick in ticks]
    answered = sum(sum(group.statuses) for group in now.groups)
    ok = sum(group.statuses[0] for group in now.groups)
    return [
        f"{last.seconds:6.1f} s   sent {now.sent}   answered {answered}   errors {answered - ok}",
        f"{last.requests_per_second:8.0f} requests/s  {sparkline(rates, max(rates) or 1.0)}",
        f"{last.p99_ms:8.3f} ms p99      {sparkline(p99s, max(p99s) or 1.0)}",
        f"{last.p50_ms:8.3f} ms p50",
    ]


def print_load(result: LoadResult, server: dict[str, dict[str, Any]]) -> None:
    """Rates, percentiles, statuses, the server's own counts."""
    if result.is_interrupted and not result.measured:
        click.echo("interrupted before anything was measured")
        _print_problems(result)
        return
    if result.is_interrupted:
        click.echo("interrupted; until then:")
    offered = f" of {result.offered_per_second:.0f} offered" if result.offered_per_second else ""
    steady = "" if result.is_steady else ", not steady by then"
    click.echo(
        f"{result.requests_per_second:.0f} requests/s{offered}, measured for {result.seconds:.2f} s"
        f" after a warm-up of {result.warm_up_seconds:.2f} s{steady}"
    )
    click.echo(
        f"{result.sent} sent, {result.errors} failed ({result.error_rate:.3%}); the generator took "
        f"{result.cpu_seconds * 1e6 / max(1, result.sent):.2f} us of CPU per request\n"
    )
    rows = [(model, latency.as_dict()) for model, latency in result.models.items()]
    if len(rows) > 1:
        rows.append(("all", result.latency.as_dict()))
    rows.append(("due to sent", result.delay.as_dict()))
    columns = list(rows[0][1])
    print_table(
        ["LATENCY ms", *columns],
        [(name, *(f"{value:.3f}" for value in values.values())) for name, values in rows],
        numeric=columns,
    )
    _print_problems(result)
    if server:
        click.echo()
        _print_server(server)


def print_step(rate: float, result: LoadResult) -> None:
    """One line of a sweep while it goes on."""
    click.echo(
        f"{rate:9.0f} offered/s  {result.requests_per_second:9.0f} answered/s  "
        f"p50 {result.latency.percentile(50) / 1e6:8.3f} ms  "
        f"p99 {result.latency.percentile(99) / 1e6:8.3f} ms  {result.errors} failed"
    )


def print_sweep(sweep: Sweep) -> None:
    """The knee, and what is beyond it."""
    failed = [step for step in sweep.steps if step.problem]
    if sweep.is_interrupted:
        click.echo(f"interrupted; {len(sweep.steps)} steps were complete")
    if not sweep.steps:
        return
    if not sweep.knee_per_second:
        click.echo(f"no rate kept p99 within {sweep.target.p99_ms:g} ms: {failed[-1].problem}")
        return
    least = " at least" if sweep.is_interrupted else ""
    click.echo(
        f"p99 within {sweep.target.p99_ms:g} ms up to {sweep.knee_per_second:.0f} requests/s{least}"
    )
    if failed:
        first = min(failed, key=lambda step: step.offered_per_second)
        click.echo(printable(f"at {first.offered_per_second:.0f}: {first.problem}"))


def print_comparison(names: tuple[str, str], comparison: Comparison) -> None:
    """Ratios with their intervals."""
    if comparison.is_interrupted:
        click.echo(f"interrupted; {len(comparison.first)} rounds of both were complete")
        if len(comparison.first) < LEAST_ROUNDS:
            click.echo(f"too few to compare: at least {LEAST_ROUNDS} are needed")
            return
    click.echo(printable(f"{names[1]} over {names[0]}, {len(comparison.first)} rounds in turns\n"))
    print_table(
        ["SECOND OVER FIRST", "RATIO", "LOW 95 %", "HIGH 95 %"],
        [
            (name, f"{ratio.value:.3f}", f"{ratio.low:.3f}", f"{ratio.high:.3f}")
            for name, ratio in comparison.ratios().items()
        ],
        numeric=["RATIO", "LOW 95 %", "HIGH 95 %"],
    )
    for name, rounds in zip(names, (comparison.first, comparison.second), strict=True):
        errors = sum(each.errors for each in rounds)
        if errors:
            click.echo(printable(f"{name}: {errors} requests failed"))


def _print_problems(result: LoadResult) -> None:
    statuses = [
        (model, status, count)
        for model, counts in result.statuses.items()
        for status, count in counts.items()
        if status != "OK"
    ]
    if statuses:
        click.echo()
        print_table(
            ["MODEL", "STATUS", "COUNT", "FIRST MESSAGE"],
            [(*each, result.examples.get(each[1], "")) for each in statuses],
            numeric=["COUNT"],
        )
    if result.unanswered:
        click.echo(f"{result.unanswered} requests had no answer when the load ended")
    if result.unsent:
        click.echo(
            f"{result.unsent} requests were due and never sent: no call was free. "
            "Latencies leave them out; more --connections or --in-flight, or a lower --rate"
        )
    if result.lost_connections:
        click.echo(f"{result.lost_connections} connections were lost, and made anew")


def _print_server(server: dict[str, dict[str, Any]]) -> None:
    models = list(server)
    names = list(next(iter(server.values())))
    print_table(
        ["COUNTED BY THE SERVER", *models],
        [(name, *(_number(server[model][name]) for model in models)) for name in names],
        numeric=models,
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 4):.12g}"
