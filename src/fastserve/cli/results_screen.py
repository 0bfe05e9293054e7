"""What `fastserve route results` prints for people."""

import time
from typing import Any

import click

from fastserve.cli.screen import print_table, printable


def print_results(found: dict[str, Any]) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["since"]))
    click.echo(printable(f"{found['model']}: ab, generation {found['generation']}, since {since}"))
    for title, name, count in (
        ("ERRORS", "errors", "REQUESTS"),
        ("WRONG", "wrong_labels", "LABELS"),
    ):
        click.echo()
        columns = ["VERSION", count, title, "RATE", "DIFFERENCE", "INTERVAL"]
        rows = [_rate_row(arm["version"], arm[name]) for arm in found["arms"]]
        print_table(columns, rows, numeric=columns)
    click.echo()
    quantiles = [each["quantile"] for each in found["arms"][0]["latency"]]
    columns = ["VERSION", *(f"P{quantile * 100:g}" for quantile in quantiles)]
    rows = [
        (arm["version"], *(_seconds(each.get("seconds")) for each in arm["latency"]))
        for arm in found["arms"]
    ]
    print_table(columns, rows, numeric=columns)
    first = found["arms"][0]["version"]
    click.echo()
    click.echo(
        f"differences are to version {first}; their {found['confidence']:.0%} intervals hold at "
        "all moments at once"
    )


def _rate_row(version: int, rate: dict[str, Any]) -> tuple[Any, ...]:
    share, difference = rate.get("rate"), rate.get("difference")
    return (
        version,
        f"{rate['count']:,}",
        f"{rate['events']:,}",
        "-" if share is None else f"{share:.3%}",
        "-" if difference is None else f"{difference['difference']:+.3%}",
        "-" if difference is None else f"{difference['lower']:+.3%} to {difference['upper']:+.3%}",
    )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"
