"""Carries `fastserve bench` out: connects, makes the payloads, runs, prints, decides the exit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from fastserve.bench.comparison import compare
from fastserve.bench.plan import Payload, Plan, Target, TargetTLS
from fastserve.bench.reach import find_obstacle
from fastserve.bench.report_html import comparison_page, load_page, sweep_page
from fastserve.bench.result import LoadResult
from fastserve.bench.server_side import server_side
from fastserve.bench.sweep import Target99, find_knee
from fastserve.bench.watch import run_load
from fastserve.cli.bench_payloads import data_payloads, made_up_payloads, read_payloads
from fastserve.cli.bench_screen import (
    live_view,
    print_comparison,
    print_load,
    print_step,
    print_sweep,
)
from fastserve.cli.command import FAILED, INTERRUPTED
from fastserve.cli.endpoint import Endpoint
from fastserve.cli.interruption import counted_interrupts
from fastserve.cli.screen import print_json
from fastserve.client import Client, ServerUnreachable
from fastserve.errors import FastserveError

_SECONDS: Final = 10.0
_STEP_SECONDS: Final = 3.0
_STEP_WARM_UP_SECONDS: Final = 0.5
_OPEN_IN_FLIGHT: Final = 100
_FIRST_RATE: Final = 100.0
_LAST_RATE: Final = 1e6
# How long somebody who pressed Ctrl-C waits for the server's own counts.
_LAST_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Wish:
    """The command line's options by their names there."""

    models: tuple[str, ...]
    rate: float | None
    arrivals: str
    connections: int
    in_flight: int | None
    threads: int
    duration: float | None
    requests: int | None
    warm_up: str
    deadline: float | None
    data: Path | None
    payload_files: tuple[Path, ...]
    version: str
    rows: int
    variants: int
    seed: int
    headers: tuple[str, ...]
    p99_ms: float | None
    against: str | None
    rounds: int
    max_error_rate: float | None
    html: Path | None
    as_json: bool

    def check(self) -> None:
        """Raises UsageError for options that do not go together."""
        if len(self.models) > 1 and (self.payload_files or self.data):
            raise click.UsageError("--data and --payload need exactly one MODEL")
        if self.data and self.payload_files:
            raise click.UsageError("--data and --payload are both given; drop one of them")
        if self.p99_ms and (self.rate or self.requests or self.against):
            raise click.UsageError(
                "--sweep chooses the rates itself; drop --rate, --requests, --against"
            )
        if self.against and self.requests:
            raise click.UsageError("--against needs --duration, not --requests")
        if self.threads > self.connections:
            raise click.UsageError("--threads needs at least as many --connections")

    def plan(self) -> Plan:
        """The load of one run."""
        is_open = bool(self.rate or self.p99_ms)
        seconds = self.duration
        if seconds is None and self.requests is None:
            seconds = _STEP_SECONDS if self.p99_ms else _SECONDS
        return Plan(
            connections=self.connections,
            in_flight=self.in_flight or (_OPEN_IN_FLIGHT if is_open else 1),
            threads=self.threads,
            requests_per_second=self.rate or 0.0,
            is_poisson=self.arrivals == "poisson",
            seed=self.seed,
            max_requests=self.requests or 0,
            seconds=seconds,
            warm_up_seconds=0.0 if self.detects_warm_up else self._warm_up_seconds(),
            deadline_seconds=None if self.deadline is None else self.deadline / 1e3,
        )

    @property
    def detects_warm_up(self) -> bool:
        return self.warm_up == "auto"

    def _warm_up_seconds(self) -> float:
        try:
            seconds = float(self.warm_up)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise click.UsageError(f"--warm-up {self.warm_up!r}: expected auto or seconds")
        return seconds

    def header_pairs(self) -> list[tuple[str, str]]:
        pairs = []
        for header in self.headers:
            name, colon, value = header.partition(":")
            if not colon or not name.strip() or name.startswith(":"):
                raise click.UsageError(f"--header {header!r}: expected NAME:VALUE")
            pairs.append((name.strip().lower(), value.strip()))
        return pairs


def run_bench(endpoint: Endpoint, wish: Wish) -> None:
    """Runs what `wish` asks for. Exit code 1 for a load that broke off or failed too often.

    Interrupted, it tells what was measured until then, and the exit code is 130.
    """
    wish.check()
    plan = wish.plan()
    target = Target(endpoint.endpoint, tuple(_headers(endpoint, wish)), _tls(endpoint))
    with endpoint.connect() as client:
        if target.tls is not None:
            _reach(target, wish)
        payloads = _payloads(client, wish)
        if wish.p99_ms is not None:
            outcome = _sweep(target, payloads, plan, wish)
        elif wish.against is not None:
            outcome = _compare(target, payloads, plan, wish)
        else:
            outcome = _load(client, target, payloads, plan, wish)
    _exit(outcome, wish)


@dataclass(frozen=True)
class _Outcome:
    """What decides the exit code."""

    results: list[LoadResult]
    is_interrupted: bool


def _reach(target: Target, wish: Wish) -> None:
    """Says what is wrong with the certificates, of which grpcio says little."""
    for endpoint in filter(None, (target.endpoint, wish.against)):
        obstacle = find_obstacle(replace(target, endpoint=endpoint))
        if obstacle:
            raise ServerUnreachable(f"{endpoint}: {obstacle}")


def _load(
    client: Client, target: Target, payloads: Sequence[Payload], plan: Plan, wish: Wish
) -> _Outcome:
    before = _statistics(client, wish)
    with live_view(is_shown=not wish.as_json) as on_tick, counted_interrupts() as interrupts:
        result = run_load(
            target,
            payloads,
            plan,
            detect_warm_up=wish.detects_warm_up,
            on_tick=on_tick,
            interrupts=interrupts,
        )
    seconds = _LAST_SECONDS if result.is_interrupted else None
    try:
        after = _statistics(client, wish, seconds)
    except KeyboardInterrupt:
        # One more Ctrl-C, for a server that hangs: what was measured is still told.
        if not result.is_interrupted:
            raise
        after = None
    server = server_side(before, after) if before is not None and after is not None else {}
    _print(
        wish,
        result.as_dict() | {"server": server},
        lambda: print_load(result, server),
        lambda: load_page(_title(wish), result, server),
    )
    return _Outcome([result], result.is_interrupted)


def _sweep(target: Target, payloads: Sequence[Payload], plan: Plan, wish: Wish) -> _Outcome:
    assert wish.p99_ms is not None  # noqa: S101 - for the type alone
    warm_up = _STEP_WARM_UP_SECONDS if wish.detects_warm_up else plan.warm_up_seconds
    plan = replace(plan, warm_up_seconds=warm_up)

    def probe(rate: float) -> LoadResult:
        step = replace(plan, requests_per_second=rate)
        result = run_load(target, payloads, step, interrupts=interrupts)
        if not wish.as_json and not result.is_interrupted:
            print_step(rate, result)
        return result

    goal = Target99(wish.p99_ms, wish.max_error_rate or 0.0)
    with counted_interrupts() as interrupts:
        sweep = find_knee(probe, goal, first=_FIRST_RATE, last=_LAST_RATE)
    _print(
        wish, sweep.as_dict(), lambda: print_sweep(sweep), lambda: sweep_page(_title(wish), sweep)
    )
    # Steps above the knee fail by design; a load that broke off does not.
    broken = [step.result for step in sweep.steps if step.result.failure]
    return _Outcome(broken, sweep.is_interrupted)


def _compare(target: Target, payloads: Sequence[Payload], plan: Plan, wish: Wish) -> _Outcome:
    assert wish.against is not None  # noqa: S101 - for the type alone
    seconds = (plan.seconds or _SECONDS) / (2 * wish.rounds)
    # Each round leaves out as much as it has time for.
    warm_up = min(0.2, seconds / 4) if wish.detects_warm_up else plan.warm_up_seconds
    plan = replace(plan, seconds=seconds, warm_up_seconds=warm_up)
    other = replace(target, endpoint=wish.against)
    with counted_interrupts() as interrupts:
        comparison = compare(
            lambda: run_load(target, payloads, plan, interrupts=interrupts),
            lambda: run_load(other, payloads, plan, interrupts=interrupts),
            rounds=wish.rounds,
        )
    names = (target.endpoint, other.endpoint)
    _print(
        wish,
        comparison.as_dict() | {"endpoints": list(names)},
        lambda: print_comparison(names, comparison),
        lambda: comparison_page(_title(wish), names, comparison),
    )
    return _Outcome([*comparison.first, *comparison.second], comparison.is_interrupted)


def _print(
    wish: Wish, document: dict[str, Any], show: Callable[[], None], page: Callable[[], str]
) -> None:
    if wish.html is not None:
        wish.html.write_text(page(), encoding="utf-8")
    if wish.as_json:
        print_json(document)
    else:
        show()


def _exit(outcome: _Outcome, wish: Wish) -> None:
    failure = next((each.failure for each in outcome.results if each.failure), "")
    if failure:
        raise click.ClickException(failure)
    if outcome.is_interrupted:
        raise click.exceptions.Exit(INTERRUPTED)
    if wish.max_error_rate is None or not outcome.results:
        return
    worst = max(each.error_rate for each in outcome.results)
    if worst > wish.max_error_rate:
        click.echo(
            f"fastserve: {worst:.3%} of the requests failed, expected at most "
            f"{wish.max_error_rate:.3%}",
            err=True,
        )
        raise click.exceptions.Exit(FAILED)


def _payloads(client: Client, wish: Wish) -> list[Payload]:
    if wish.payload_files:
        return read_payloads(wish.models[0], wish.payload_files)
    if wish.data is not None:
        return data_payloads(client, wish.models[0], wish.version, wish.data)
    parts = [
        made_up_payloads(
            client, model, wish.version, rows=wish.rows, variants=wish.variants, seed=wish.seed
        )
        for model in wish.models
    ]
    # In turn over the models, not one after the other.
    return [payload for variant in zip(*parts, strict=True) for payload in variant]


def _statistics(
    client: Client, wish: Wish, seconds: float | None = None
) -> list[dict[str, Any]] | None:
    """Nothing where the server has no ModelStatistics, or refuses it."""
    try:
        return [
            entry
            for model in dict.fromkeys(wish.models)
            for entry in client.model_statistics(model, wish.version, timeout=seconds)
        ]
    except FastserveError:
        return None


def _headers(endpoint: Endpoint, wish: Wish) -> list[tuple[str, str | bytes]]:
    token = endpoint.find_token()
    pairs: list[tuple[str, str | bytes]] = list(wish.header_pairs())
    if token:
        pairs.append(("authorization", f"Bearer {token}"))
    return pairs


def _tls(endpoint: Endpoint) -> TargetTLS | None:
    tls = endpoint.read_tls()
    if tls is None:
        return None
    return TargetTLS(
        tls.root_certificates or b"", tls.certificate or b"", tls.key or b"", tls.server_name
    )


def _title(wish: Wish) -> str:
    return f"fastserve bench {' '.join(wish.models)}"
