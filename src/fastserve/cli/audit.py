"""`fastserve audit`: the record of every change, and whether it is whole."""

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastserve.cli.command import FAILED, Command
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.screen import print_json, print_table, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastserve.cli.endpoint import Endpoint
    from fastserve.observe.audit_verification import Verification

_COLUMNS: Final = ("SEQ", "TIME", "ACTOR", "ACTION", "TARGET", "OUTCOME", "CHANGE", "REASON")
# For lines that come one by one, where a table cannot know how wide its columns will be.
_WIDTHS: Final = (6, 24, 12, 16, 16, 7, 32, 0)
_MOST_CHANGE_CHARACTERS: Final = 60

_FOLDER = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Ask no server: read the files in this folder, STATE_DIR/audit.",
)


@click.group()
def audit() -> None:
    """Show or verify the record of every change."""


@audit.command(cls=Command)
@click.option("--last", type=click.IntRange(min=0), default=20, show_default=True,
              help="So many of the newest records; 0 for all.")  # fmt: skip
@click.option("--model", default="", help="Records about this model only.")
@click.option("--follow", is_flag=True, help="Go on with new records as they come.")
@_FOLDER
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print the records as they are stored.")
def show(
    last: int, model: str, follow: bool, folder: Path | None, as_json: bool, **options: Any
) -> None:
    """Show who changed what, oldest first."""
    endpoint = take_endpoint(options)
    if folder is not None and follow:
        raise click.UsageError("--follow needs a server; leave out --folder")
    with contextlib.closing(_read(endpoint, folder, last, model, follow=follow)) as lines:
        if as_json:
            for line in lines:
                click.echo(line)
        elif follow:
            _print_as_they_come(lines)
        else:
            _print_records(lines)


@audit.command(cls=Command)
@click.option("--expected-head", metavar="HASH", default="",
              help="Refuse a log that lacks the record with this hash, noted earlier.")  # fmt: skip
@click.option("--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The log's key: refuse records that were not made with it.")  # fmt: skip
@_FOLDER
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    expected_head: str, key_file: Path | None, folder: Path | None, as_json: bool, **options: Any
) -> None:
    """Read the whole log and say the first thing that is wrong with it, and where.

    A server checks its own files. With --key-file or --expected-head it sends its records as well,
    and they are checked here. The exit code is 1 when something is wrong.
    """
    from fastserve.observe.audit_record import read_key  # noqa: PLC0415 - loads msgspec

    endpoint = take_endpoint(options)
    expected = _check_hash(expected_head)
    key = None if key_file is None else read_key(key_file)
    found = (
        _verify_server(endpoint, expected, key)
        if folder is None
        else _verify_folder(folder, expected, key)
    )
    _print_verification(found, as_json=as_json)
    if not found.is_intact:
        click.get_current_context().exit(FAILED)


def _read(
    endpoint: "Endpoint", folder: Path | None, last: int, model: str, *, follow: bool
) -> Generator[str, None, None]:
    if folder is not None:
        from fastserve.observe.audit_folder import read_records  # noqa: PLC0415 - loads msgspec

        yield from read_records(folder, last=last, model=model)
        return
    with endpoint.connect_control() as client:
        yield from client.show_audit(last=last, model=model, follow=follow)


def _verify_folder(folder: Path, expected_head: str, key: bytes | None) -> "Verification":
    from fastserve.observe.audit_verification import verify_folder  # noqa: PLC0415

    return verify_folder(folder, key=key, expected_head=expected_head)


def _verify_server(endpoint: "Endpoint", expected_head: str, key: bytes | None) -> "Verification":
    from fastserve.observe.audit_verification import Verification, verify_lines  # noqa: PLC0415

    with endpoint.connect_control() as client:
        verdict = client.verify_audit()
        if not verdict.is_intact or not (expected_head or key):
            return Verification(
                verdict.records, verdict.head, problem=verdict.problem, first=verdict.first
            )
        # The key stays here, and the server's word is not taken for what it proves.
        found = verify_lines(client.show_audit(), key=key, expected_head=expected_head)
    if found.is_intact and found.records < verdict.records:
        problem = f"the server sent {found.records} records of the {verdict.records} that it has"
        return Verification(found.records, found.head, problem=problem)
    return found


def _check_hash(text: str) -> str:
    digest = text.strip().lower()
    if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):  # noqa: PLR2004
        raise click.UsageError(
            f"--expected-head {printable(text)!r}: expected the 64 hexadecimal digits of a "
            "record's hash"
        )
    return digest


def _print_verification(found: "Verification", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "is_intact": found.is_intact,
                "records": found.records,
                "first": found.first,
                "head": found.head,
                "problem": found.placed_problem,
                "note": found.note,
            }
        )
        return
    if found.is_intact:
        click.echo(f"intact: {found.records} records, head {printable(found.head)}")
    else:
        click.echo(f"damaged: {printable(found.placed_problem)}")
        click.echo(f"sound before that: {found.records} records, head {printable(found.head)}")
    if found.first > 1:
        click.echo(f"begins at record {found.first}: older ones were removed by retention")
    if found.note:
        click.echo(f"not checked: {found.note}")


def _print_records(lines: "Iterable[str]") -> None:
    rows = [_row(line) for line in lines]
    if rows:
        print_table(_COLUMNS, rows, numeric=["SEQ"])
    else:
        click.echo("no records")


def _print_as_they_come(lines: "Iterable[str]") -> None:
    click.echo(_spaced(_COLUMNS))
    for line in lines:
        click.echo(_spaced(_row(line)))


def _spaced(cells: tuple[str, ...]) -> str:
    padded = (printable(cell).ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return "  ".join(padded).rstrip()


def _row(line: str) -> tuple[str, ...]:
    """The cells of one record; a damaged one is shown as it is."""
    try:
        record = json.loads(line)
        target = record["target"]
        version = f"/{target['version']}" if target["version"] else ""
        actor = str(record["actor"])
        return (
            str(record["seq"]),
            str(record["time"]),
            actor if record["origin"] == "operator" else f"({actor})",
            str(record["action"]),
            f"{target['model']}{version}" or "-",
            str(record["outcome"]),
            _change(record["before"], record["after"]),
            str(record["reason"]),
        )
    except (ValueError, KeyError, TypeError):
        return ("?", "", "", "", "", "", "", f"not a record: {line}")


def _change(before: Any, after: Any) -> str:
    if before is None and after is None:
        return ""
    text = f"{_value(before)} -> {_value(after)}"
    return text if len(text) <= _MOST_CHANGE_CHARACTERS else f"{text[:_MOST_CHANGE_CHARACTERS]}..."


def _value(value: Any) -> str:
    """Short: `serving=2`, not JSON."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return " ".join(f"{key}={_value(item)}" for key, item in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
