"""`fastserve capture`: what a server kept of its requests, as a training set."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from fastserve.cli.command import Command
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.screen import print_json, print_table, printable

if TYPE_CHECKING:
    from fastserve.cli.endpoint import Endpoint

_FOLDER: Final = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Ask no server: read the files in this folder, STATE_DIR/capture.",
)
_EXPORT_SECONDS: Final = 3600.0
_COUNTERS: Final = ("offered", "captured", "dropped", "failed", "pending")
_LABELS: Final = ("offered", "stored", "unsampled", "dropped", "failed")


class _Summary(NamedTuple):
    rows: int
    labelled_rows: int
    files: int
    skipped: tuple[str, ...]


class _Wanted(NamedTuple):
    model: str
    version: int
    since: float
    until: float
    with_labels: bool
    only_labelled: bool
    csv: bool


@click.group()
def capture() -> None:
    """Export captured requests, or show what there is."""


@capture.command(cls=Command)
@click.argument("model")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              help="The file to write.")  # fmt: skip
@click.option("--version", type=click.IntRange(min=1, max=(1 << 63) - 1), default=None,
              help="This version alone.")  # fmt: skip
@click.option("--since", default="", metavar="TIME",
              help="Requests from this moment on: 2026-05-28, 2026-05-28T20:00:00Z.")  # fmt: skip
@click.option("--until", default="", metavar="TIME", help="Requests before this moment.")
@click.option("--with-labels", is_flag=True, help="Add the labels that came back; null where none.")
@click.option("--only-labelled", is_flag=True, help="Only rows whose label came back.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, not Parquet.")
@_FOLDER
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def export(
    *, model: str, out: Path, version: int | None, since: str, until: str, with_labels: bool,
    only_labelled: bool, as_csv: bool, folder: Path | None, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Write captured rows of MODEL to one file."""
    endpoint = take_endpoint(options)
    wanted = _Wanted(
        model, version or 0, _seconds(since, "--since"), _seconds(until, "--until"), with_labels,
        only_labelled, as_csv,
    )  # fmt: skip
    parts = _export_server(endpoint, wanted) if folder is None else _export_folder(folder, wanted)
    summary = _write(out, parts)
    if as_json:
        print_json(summary._asdict())
        return
    labelled = f", {summary.labelled_rows} with a label" if with_labels or only_labelled else ""
    click.echo(f"{out}: {summary.rows} rows{labelled}, of {summary.files} files")
    for line in summary.skipped:
        click.echo(f"skipped: {printable(line)}", err=True)


@capture.command(cls=Command)
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool, **options: Any) -> None:
    """Show what was captured, dropped and failed since the server's start."""
    endpoint = take_endpoint(options)
    with endpoint.connect_capture() as client:
        found = client.status()
    if as_json:
        print_json(found)
        return
    click.echo(f"folder: {printable(found['folder'])}, {found['disk_bytes']} bytes")
    click.echo("requests: " + ", ".join(f"{found[name]} {name}" for name in _COUNTERS))
    click.echo("labels: " + ", ".join(f"{found['labels_' + name]} {name}" for name in _LABELS))
    click.echo(
        f"files removed to stay within the bound: {found['removed_files']}; "
        f"cut off by the last end of the process: {found['lost_files']}"
    )
    if found["versions"]:
        click.echo("")
        columns = ("model", "version", "files", "bytes")
        rows = [tuple(str(one[name]) for name in columns) for one in found["versions"]]
        print_table([name.upper() for name in columns], rows, numeric=["VERSION", "FILES", "BYTES"])


def _export_server(endpoint: "Endpoint", wanted: _Wanted) -> Iterator[bytes | _Summary]:
    from fastserve.client import CaptureSummary  # noqa: PLC0415 - grpc loads slowly

    with endpoint.connect_capture() as client:
        for part in client.export(**wanted._asdict(), timeout=_EXPORT_SECONDS):
            yield _Summary(*part) if isinstance(part, CaptureSummary) else part


def _export_folder(folder: Path, wanted: _Wanted) -> Iterator[bytes | _Summary]:
    try:
        from fastserve.observe.capture_export import Export, ExportQuery  # noqa: PLC0415
    except ImportError as error:
        raise click.ClickException(
            f"{error}; an export from a folder needs pyarrow: pip install 'fastserve[capture]'"
        ) from None

    query = wanted._asdict()
    query["format"] = "csv" if query.pop("csv") else "parquet"
    done = Export(folder, ExportQuery(**query))
    yield from done.chunks()
    found = done.summary
    yield _Summary(found.rows, found.labelled_rows, found.files, tuple(found.skipped))


def _write(out: Path, parts: Iterator[bytes | _Summary]) -> _Summary:
    """`out` is whole, or as it was before."""
    summary = None
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with partial.open("xb") as file:
            for part in parts:
                if isinstance(part, _Summary):
                    summary = part
                else:
                    file.write(part)
        if summary is None:
            raise click.ClickException("the server ended the export before its end")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return summary


def _seconds(text: str, option: str) -> float:
    """Since 1970; 0 for nothing. Without a zone it is UTC, as in the server's logs."""
    if not text:
        return 0.0
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{option} {printable(text)!r}: expected a time, 2026-05-28 or 2026-05-28T20:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, moment.timestamp())
