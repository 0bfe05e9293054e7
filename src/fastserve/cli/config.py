"""`fastserve config`: the settings in force, and where each came from."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastserve.cli.command import Command
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.screen import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastserve.cli.endpoint import Endpoint
    from fastserve.settings import Entry


@click.group()
def config() -> None:
    """Ask for the settings of a server."""


@config.command(cls=Command)
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ask no server: show what this file makes of one. Goes with --offline.",
)
@click.option(
    "--offline", is_flag=True, help="Ask no server: show what one that is started here would have."
)
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: Path | None, offline: bool, as_json: bool, **options: Any) -> None:
    """Show every setting of the server, and where its value came from.

    With --offline or --config the file and the environment are read as `serve` would read them; the
    exit code is 2 when `serve` would refuse them.
    """
    endpoint = take_endpoint(options)
    if offline or file is not None:
        _show_offline(file, as_json=as_json)
    else:
        _print(show_config(endpoint), as_json=as_json)


def show_config(endpoint: "Endpoint") -> "list[Entry]":
    """What the server answers to ShowConfig. Errors: FastserveError."""
    import msgspec  # noqa: PLC0415 - loads slowly

    from fastserve.settings import Entry  # noqa: PLC0415

    with endpoint.connect_control() as client:
        return [
            Entry(each.path, msgspec.json.decode(each.value), each.source)
            for each in client.show_config()
        ]


def _show_offline(file: Path | None, *, as_json: bool) -> None:
    from fastserve.config import check_settings  # noqa: PLC0415 - loads msgspec
    from fastserve.settings import (  # noqa: PLC0415
        find_settings_file,
        list_entries,
        load_settings,
        read_layers,
    )

    found = find_settings_file(file, os.environ)
    _print(list_entries(read_layers(found, os.environ, {})), as_json=as_json)
    # Shown first: what is refused is easier to mend with all the rest in sight.
    check_settings(load_settings(found, os.environ, {}).settings)


def _print(entries: "Iterable[Entry]", *, as_json: bool) -> None:
    if as_json:
        print_json(
            [{"path": each.path, "value": each.value, "source": each.source} for each in entries]
        )
    else:
        print_table(
            ["PATH", "VALUE", "SOURCE"],
            [(each.path, _text(each.value), each.source) for each in entries],
        )


def _text(value: Any) -> str:
    """As the environment would have it; a dash for what is not set."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
