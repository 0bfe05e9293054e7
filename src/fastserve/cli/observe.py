"""`fastserve observe`: files for Prometheus and Grafana. Asks no server."""

import json
from pathlib import Path
from typing import Any

import click

from fastserve.cli.command import Command
from fastserve.decoding import convert_plain

_OUT = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of the screen.",
)


@click.group()
def observe() -> None:
    """Write alert rules, a dashboard and a scrape job for the metrics page."""


# Every default is that of fastserve.observe.alert_rules.Thresholds: here it is only shown.
@observe.command(cls=Command)
@click.option("--job", help="The scrape job's name. [default: fastserve]")
@click.option("--latency-seconds", type=float,
              help="Alert when requests take longer. [default: 0.1]")  # fmt: skip
@click.option("--latency-quantile", type=float,
              help="How many of them stay below, as a share. [default: 0.99]")  # fmt: skip
@click.option("--availability", type=float,
              help="The share of requests that is to be answered. [default: 0.999]")  # fmt: skip
@click.option("--queue-ratio", type=float,
              help="Alert when a queue is as full as this. [default: 0.8]")  # fmt: skip
@click.option(
    "--quality-drop",
    type=float,
    help="Alert when quality falls by this share of a day's average. [default: 0.05]",
)
@click.option("--quality-measures", metavar="REGEX",
              help="The measures of quality for which more is better.")  # fmt: skip
@click.option(
    "--skipped-ratio",
    type=float,
    help="Alert when more rows than this share are not sketched. [default: 0.1]",
)
@click.option("--contract-rows", type=float,
              help="Alert when more rows in 10 minutes break a rule. [default: 10]")  # fmt: skip
@_OUT
def rules(out: Path | None, **options: Any) -> None:
    """Write alert rules for Prometheus."""
    import msgspec  # noqa: PLC0415 - loads slowly

    from fastserve.observe.alert_rules import Thresholds, alert_rules, to_yaml  # noqa: PLC0415

    given = {name: value for name, value in options.items() if value is not None}
    try:
        limits = convert_plain(given, Thresholds)
    except msgspec.ValidationError as error:
        raise click.UsageError(_explain(str(error), given)) from None
    _write(to_yaml(alert_rules(limits)), out)


@observe.command(cls=Command)
@_OUT
def dashboard(out: Path | None) -> None:
    """Write a dashboard for Grafana, as JSON to import."""
    from fastserve.observe.dashboard import dashboard as make  # noqa: PLC0415

    _write(json.dumps(make(), indent=2) + "\n", out)


@observe.command(cls=Command, name="scrape-config")
@click.option("--job", default="fastserve", show_default=True, help="The scrape job's name.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=["127.0.0.1:8002"],
    show_default=True,
    metavar="HOST:PORT",
    help="An HTTP address of a server; may be repeated.",
)
@click.option("--interval", default="15s", show_default=True, help="How often to scrape.")
@_OUT
def scrape_config(out: Path | None, job: str, targets: tuple[str, ...], interval: str) -> None:
    """Write the part of prometheus.yml that scrapes servers."""
    lines = [
        "scrape_configs:",
        f"  - job_name: {json.dumps(job)}",
        f"    scrape_interval: {json.dumps(interval)}",
        "    static_configs:",
        f"      - targets: {json.dumps(list(targets))}",
    ]
    _write("\n".join(lines) + "\n", out)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text)
        click.echo(f"written: {out}", err=True)


def _explain(text: str, given: dict[str, Any]) -> str:
    """What msgspec says, as said of the option."""
    what, _, path = text.partition(" - at `$.")
    name = path.rstrip("`")
    option = f"--{name.replace('_', '-')}"
    return f"{option} {given.get(name)!r}: {what[0].lower()}{what[1:]}"
