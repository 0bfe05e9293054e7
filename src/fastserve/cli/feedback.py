"""`fastserve feedback`: labels from a file to a server, and how good it is by them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastserve.cli.command import FAILED, Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import endpoint_options, load_options, take_endpoint
from fastserve.cli.length import read_length
from fastserve.cli.screen import print_json, print_table, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastserve.client import FeedbackSummary, Label

_EVERY: Final = 10_000  # labels between two lines of progress
_SHOWN_PROBLEMS: Final = 10
_MEANINGS: Final = {
    "joined": "held against their prediction",
    "early": "wait for a prediction that has not come yet",
    "late": "their prediction is kept no longer",
    "unknown": "no prediction has their id",
    "duplicate": "their prediction had a label already",
    "invalid": "do not fit their prediction",
}


class _SendsByDefault(click.Group):
    """`fastserve feedback MODEL FILE` is `feedback send MODEL FILE`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *context.help_option_names}:
            args = ["send", *args]
        return super().parse_args(context, args)


@click.group(cls=_SendsByDefault)
def feedback() -> None:
    """Send what turned out to be true of earlier answers, and show how good they were.

    `feedback MODEL FILE` is `feedback send MODEL FILE`.
    """


@feedback.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id-column", default="id", show_default=True, help="The column of request ids.")
@click.option("--label-column", default="label", show_default=True, help="The column of labels.")
@load_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def send(
    model: str, file: Path, id_column: str, label_column: str, as_json: bool, **options: Any
) -> None:
    """Send what turned out to be true: request ids and labels from FILE, a .csv or .parquet.

    A row of FILE is one row of a request. Rows that follow one another with the same id are the
    rows of one request, in their order. The exit code is 1 when no label was joined or waits.
    """
    endpoint = take_endpoint(options)
    from fastserve.cli.label_file import read_labels  # noqa: PLC0415 - --help needs none of it

    labels = _watched(read_labels(file, id_column, label_column))
    with endpoint.connect() as client:
        summary = client.feedback_many(model, labels)
    if as_json:
        print_json({**summary._asdict(), "problems": [each._asdict() for each in summary.problems]})
    else:
        _print_summary(summary)
    if not summary.joined and not summary.early:
        click.get_current_context().exit(FAILED)


@feedback.command(cls=Command)
@click.argument("model", required=False, default="", shell_complete=complete_model)
@click.option("--version", type=click.IntRange(min=0), default=0,
              help="This version; all with labels if left out.")  # fmt: skip
@click.option("--window", callback=read_length, default="", metavar="LENGTH",
              help="The last 1m, 5m, 1h or 1d; else what model.toml has judged.")  # fmt: skip
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(model: str, version: int, window: int, as_json: bool, **options: Any) -> None:
    """Show how good the versions of MODEL, or of every model, are by the labels that came."""
    endpoint = take_endpoint(options)
    with endpoint.connect() as client:
        found = client.show_quality(model, version=version, window_seconds=window)
    if as_json:
        print_json(found)
        return
    from fastserve.cli.feedback_screen import print_quality  # noqa: PLC0415 - for --help's sake

    print_quality(found)


def _watched(labels: "Iterator[Label]") -> "Iterator[Label]":
    """With a count on the screen, where there is one."""
    is_terminal = sys.stderr.isatty()
    count = 0
    for label in labels:
        yield label
        count += 1
        if is_terminal and count % _EVERY == 0:
            click.echo(f"\r{count:,} labels", nl=False, err=True)
    if is_terminal and count >= _EVERY:
        click.echo(f"\r{count:,} labels", err=True)


def _print_summary(summary: "FeedbackSummary") -> None:
    rows = [
        (name, f"{getattr(summary, name):,}", meaning)
        for name, meaning in _MEANINGS.items()
        if getattr(summary, name) or name == "joined"
    ]
    print_table(("OUTCOME", "LABELS", ""), rows, numeric=["LABELS"])
    for problem in summary.problems[:_SHOWN_PROBLEMS]:
        place = f"label {problem.place + 1} ({printable(problem.id)})"
        click.echo(f"{place}: {problem.outcome}: {printable(problem.reason)}")
    told = min(len(summary.problems), _SHOWN_PROBLEMS)
    total = summary.labels - summary.joined - summary.early
    if total > told:
        click.echo(f"... and {total - told:,} more")
