"""`fastserve shadow`: run a candidate beside what is served, and show how its answers differ."""

from typing import Any, Final

import click

from fastserve.cli.command import Command
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.finite_range import FiniteRange
from fastserve.cli.screen import print_json, print_table, printable

_BAR_COLUMNS: Final = 24
_NUMBER = click.IntRange(min=1, max=(1 << 63) - 1)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def shadow() -> None:
    """Run a candidate on a share of the traffic, and compare."""


@shadow.command(cls=Command)
@click.argument("model")
@click.argument("candidate", type=_NUMBER)
@click.option("--version", type=_NUMBER, default=None,
              help="The live version; without it the one that serves.")  # fmt: skip
@click.option("--share", type=FiniteRange(0, 1, min_open=True), default=1.0,
              show_default=True, help="Of the rows that are served.")  # fmt: skip
@click.option("--max-bytes", type=click.IntRange(min=1), default=64 << 20, show_default=True,
              help="Of rows that wait; more are dropped and counted.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0, max=(1 << 64) - 1), default=0,
              show_default=True, help="Of the choice of rows.")  # fmt: skip
@click.option("--absolute", type=FiniteRange(min=0), default=1e-6, show_default=True,
              help="Tolerance: a row differs beyond ABSOLUTE + RELATIVE * |live|.")  # fmt: skip
@click.option("--relative", type=FiniteRange(min=0), default=1e-3, show_default=True,
              help="Tolerance, relative to the live value.")  # fmt: skip
@endpoint_options
@_JSON
def start(
    *, model: str, candidate: int, version: int | None, share: float, max_bytes: int, seed: int,
    absolute: float, relative: float, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Run version CANDIDATE of MODEL on a share of what is served."""
    with take_endpoint(options).connect_shadow() as client:
        found = client.start(
            model, candidate, version=version or 0, share=share, max_bytes=max_bytes, seed=seed,
            absolute_tolerance=absolute, relative_tolerance=relative,
        )  # fmt: skip
    if as_json:
        print_json(found)
        return
    click.echo(
        f"{printable(model)}: version {candidate} runs on {share:.0%} of what version "
        f"{found['version']} serves; see: fastserve shadow report {printable(model)}"
    )


@shadow.command(cls=Command)
@click.argument("model")
@click.option("--reason", default="", help="For the audit log.")
@endpoint_options
@_JSON
def stop(*, model: str, reason: str, as_json: bool, **options: Any) -> None:
    """End the shadow of MODEL and show what it found."""
    with take_endpoint(options).connect_shadow() as client:
        found = client.stop(model, reason=reason)
    _print([found], as_json=as_json)


@shadow.command(cls=Command)
@click.argument("model", default="")
@click.option("--reset", is_flag=True, help="Count anew afterwards.")
@endpoint_options
@_JSON
def report(*, model: str, reset: bool, as_json: bool, **options: Any) -> None:
    """Show how the answers of candidates differ; of MODEL, or of all models."""
    with take_endpoint(options).connect_shadow() as client:
        found = client.report(model, reset=reset)
    _print(found, as_json=as_json)


def _print(shadows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(shadows)
        return
    if not shadows:
        click.echo("no shadow runs")
    for place, each in enumerate(shadows):
        if place:
            click.echo("")
        click.echo(
            f"{printable(each['model'])}: candidate {each['candidate']} beside version "
            f"{each['version']}, {each['share']:.0%} of the rows, {each['seconds']:.0f} s"
        )
        for line in each["lines"]:
            click.echo(f"  {printable(line)}")
        for output in each["outputs"]:
            if output["rows"]:
                click.echo("")
                _print_output(output)


def _print_output(output: dict[str, Any]) -> None:
    half, ninety, last = output["quantiles"]
    title = f"{output['name']}: difference p50 {half:.3g}, p90 {ninety:.3g}, p99 {last:.3g}"
    histogram = output["histogram"]
    pairs = list(zip(histogram["absolute"], histogram["relative"], strict=True))
    used = [place for place, pair in enumerate(pairs) if max(pair) > 0]
    rows = [
        (
            f"below {histogram['edges'][place + 1]:.0e}",
            f"{pairs[place][0]:.1%}",
            f"{pairs[place][1]:.1%}",
            _overlaid(*pairs[place]),
        )
        for place in range(used[0], used[-1] + 1)
    ] if used else []  # fmt: skip
    print_table(
        ("DIFFERENCE", "ABSOLUTE", "RELATIVE", "# BOTH, A ABSOLUTE, R RELATIVE"),
        rows,
        title=title,
        numeric=("DIFFERENCE", "ABSOLUTE", "RELATIVE"),
    )
    if output["worst"]:
        click.echo("")
        print_table(
            ("REQUEST", "ROW", "DIFFERENCE", "LIVE", "CANDIDATE"),
            [
                (
                    row["id"] or "-",
                    row["row"],
                    f"{row['difference']:.3g}",
                    ", ".join(row["live"]),
                    ", ".join(row["candidate"]),
                )
                for row in output["worst"]
            ],
            numeric=("ROW", "DIFFERENCE"),
        )


def _overlaid(absolute: float, relative: float) -> str:
    """Two bars in one line: # where both reach, then the letter of the longer one."""
    a, r = (round(share * _BAR_COLUMNS) for share in (absolute, relative))
    return "#" * min(a, r) + ("A" * (a - r) if a > r else "R" * (r - a))
