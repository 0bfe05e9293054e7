"""Live quality in a terminal: measures with sparklines, segments, gaps, detectors."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from fastserve.cli.drift_screen import sparkline
from fastserve.cli.screen import print_table, printable

_OUTCOMES: Final = ("joined", "early", "late", "unknown", "duplicate", "invalid")


def print_quality(models: Sequence[dict[str, Any]]) -> None:
    """Each model: what became of its labels, then its versions."""
    if not models:
        click.echo("no label has come yet")
    for number, model in enumerate(models):
        if number:
            click.echo()
        click.echo(printable(f"{model['model']}: {labels_text(model)}"))
        for version in model["versions"]:
            click.echo()
            _print_version(model["model"], version)


def labels_text(model: dict[str, Any]) -> str:
    """What became of a model's labels, and how late they came."""
    counts = sorted((_place(outcome), outcome, count) for outcome, count in model["labels"].items())
    shown = ", ".join(f"{count:,} {outcome}" for _, outcome, count in counts if count)
    if not shown:
        return "no label has come yet"
    text = f"labels: {shown}"
    if model["versions"]:
        text += f"; mean delay {model['mean_delay_seconds']:,.0f} s"
    return text


def trend(values: Sequence[float]) -> str:
    """The values as blocks between their least and their greatest; a gap where there is none."""
    known = [value for value in values if not math.isnan(value)]
    if len(known) < 2:  # noqa: PLR2004 - one value is no trend
        return ""
    low, room = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if math.isnan(value) else sparkline([(value - low) / room])
                   for value in values)  # fmt: skip


def _print_version(model: str, version: dict[str, Any]) -> None:
    name = printable(f"{model}/{version['version']}")
    if not version["segments"]:
        click.echo(f"{name}: no row was labelled in such a window yet")
        return
    everything, *segments = version["segments"]
    state = "over" if version["is_over"] else "still running"
    click.echo(
        f"{name}: {_time(version['window_start'])} to {_time(version['window_end'])}, {state}, "
        f"{everything['rows']:,} labelled rows of {version['labelled_rows']:,}"
    )
    if everything["rows"] < version["minimum_labels"]:
        click.echo(f"too few to be judged: feedback.minimum_labels is {version['minimum_labels']}")
    click.echo()
    _print_measures(version, everything)
    if segments:
        click.echo()
        _print_segments(segments)
    click.echo()
    for detector in version["detectors"]:
        click.echo(printable(f"concept drift, {detector['name']}: {_state(detector)}"))


def _print_measures(version: dict[str, Any], everything: dict[str, Any]) -> None:
    bounds = version["bounds"]
    history = {each["measure"]: each["values"] for each in version["history"]}
    # The maps of a message have no order of their own.
    found = dict((*sorted(everything["measures"].items()), *sorted(version["gaps"].items())))
    print_table(
        ["MEASURE", "VALUE", "BOUND", "LAST WINDOWS"],
        [
            (
                measure,
                f"{found[measure]:.4g}" if measure in found else "",
                f"{bounds[measure]:.4g}" if measure in bounds else "",
                trend(history.get(measure, ())),
            )
            for measure in dict.fromkeys((*found, *sorted(bounds)))
        ],
        numeric=["VALUE", "BOUND"],
    )


def _print_segments(segments: Sequence[dict[str, Any]]) -> None:
    measures = sorted({name for each in segments for name in each["measures"]})
    columns = [name.replace("_", " ").upper() for name in measures]
    print_table(
        ["SEGMENT", "ROWS", *columns],
        [
            (
                each["name"],
                f"{each['rows']:,}",
                *(
                    f"{each['measures'][name]:.4g}" if name in each["measures"] else ""
                    for name in measures
                ),
            )
            for each in segments
        ],
        numeric=["ROWS", *columns],
    )


def _state(detector: dict[str, Any]) -> str:
    if not detector["has_alarm"]:
        return "quiet"
    return (
        f"ALARM, mean error {detector['mean_error_before']:.4g} -> "
        f"{detector['mean_error_after']:.4g}"
    )


def _place(outcome: str) -> int:
    """A map has no order of its own."""
    return _OUTCOMES.index(outcome) if outcome in _OUTCOMES else len(_OUTCOMES)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
