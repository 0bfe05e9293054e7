"""`fastserve drift`: reference profiles, and how far live rows are from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastserve.cli.command import Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import endpoint_options, load_options, take_endpoint
from fastserve.cli.length import read_length
from fastserve.cli.screen import print_json, printable

if TYPE_CHECKING:
    from fastserve.cli.profile_maker import Made

_MODEL = click.argument("model", shell_complete=complete_model)
_VERSION = click.option(
    "--version", type=click.IntRange(min=0), default=0, help="The version; the newest if left out."
)
_TOP = click.option(
    "--top", type=click.IntRange(min=0), default=5, show_default=True,
    help="So many features, the most severe first; 0 for all.",
)  # fmt: skip
_FEATURES = click.option("--feature", "features", multiple=True, help="This feature; repeat it.")
_WINDOW = click.option(
    "--window", callback=read_length, default="", metavar="LENGTH",
    help="Compare the last 1m, 5m, 1h or 1d; else the last window that was judged.",
)  # fmt: skip


@click.group()
def drift() -> None:
    """Make reference profiles, and show how far live rows are from them."""


@drift.command(cls=Command)
@_MODEL
@click.option("--data", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Training rows: .parquet, .csv or .npz.")  # fmt: skip
@_VERSION
@click.option("--repository", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Write into the version's folder here, and ask no server.")  # fmt: skip
@click.option("--columns", default="", metavar="NAME,...",
              help="Take these columns alone, in this order.")  # fmt: skip
@click.option("--rows", type=click.IntRange(min=0), default=0,
              help="At most so many rows; 0 for all.")  # fmt: skip
@click.option("--inputs-only", is_flag=True, help="Do not run the model on the rows.")
@click.option("--rules", is_flag=True,
              help="Make a contract of the ranges and values that the rows have.")  # fmt: skip
@load_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def profile(  # noqa: PLR0917 - click passes names
    model: str,
    data: Path,
    version: int,
    repository: Path | None,
    columns: str,
    rows: int,
    inputs_only: bool,
    rules: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make the reference profile of MODEL from training rows.

    Without --repository it is sent to the server, which keeps it beside the repository and uses it
    at once; the rows then run there, and count as traffic.
    """
    from fastserve.cli.profile_maker import (  # noqa: PLC0415 - loads the compiled core
        Source,
        make_in_repository,
        make_on_server,
    )

    endpoint = take_endpoint(options)
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    source = Source(data, names, rows, inputs_only, rules)
    if repository is None:
        made = make_on_server(endpoint, model, version, source)
    else:
        made = make_in_repository(repository, model, version, source)
    _print_made(made, as_json=as_json)


@drift.command(cls=Command)
@_MODEL
@_VERSION
@click.option("--rows", type=click.IntRange(min=1),
              help="The next so many live rows become the profile.")  # fmt: skip
@click.option("--from-version", type=click.IntRange(min=1),
              help="What this version has seen in the last day becomes the profile.")  # fmt: skip
@click.option("--forget", is_flag=True,
              help="Back to the profile of the version's folder, or to none.")  # fmt: skip
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def freeze(  # noqa: PLR0917 - click passes names
    model: str,
    version: int,
    rows: int | None,
    from_version: int | None,
    forget: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Make live rows the reference profile of MODEL. The server keeps it over a restart."""
    endpoint = take_endpoint(options)
    if sum((rows is not None, from_version is not None, forget)) != 1:
        raise click.UsageError("give exactly one of --rows, --from-version and --forget")
    with endpoint.connect_watch() as client:
        state = client.freeze_profile(
            model,
            version=version,
            rows=rows or 0,
            from_version=from_version or 0,
            forget=forget,
        )
    if as_json:
        print_json(state)
        return
    from fastserve.cli.drift_screen import profile_text  # noqa: PLC0415 - for --help's sake

    click.echo(printable(f"{state['model']}/{state['version']}: {profile_text(state)}"))


@drift.command(cls=Command)
@click.argument("model", required=False, default="", shell_complete=complete_model)
@click.option("--version", type=click.IntRange(min=0), default=0,
              help="This version; all that answer if left out.")  # fmt: skip
@_FEATURES
@_TOP
@_WINDOW
@click.option("--alarms", is_flag=True, help="Show the alarms and their latest changes instead.")
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(  # noqa: PLR0917 - click passes names
    model: str,
    version: int,
    features: tuple[str, ...],
    top: int,
    window: int,
    alarms: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show how far the rows of MODEL, or of every model, are from their profiles."""
    endpoint = take_endpoint(options)
    with endpoint.connect_watch() as client:
        found: Any
        if alarms:
            found = client.list_alarms(model, history=True)
        else:
            found = client.show_drift(
                model,
                version=version,
                features=features,
                top=top,
                window_seconds=window,
                histograms=True,
            )
    if as_json:
        print_json(found)
        return
    from fastserve.cli.drift_screen import print_alarms, print_drift  # noqa: PLC0415 - likewise

    if alarms:
        print_alarms(found)
    else:
        print_drift(found)


@drift.command(cls=Command)
@_MODEL
@_VERSION
@_FEATURES
@_TOP
@_WINDOW
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default=Path("drift"),
              show_default=True, help="The folder to write to; it is made.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["png", "svg"]), default="png",
              show_default=True)  # fmt: skip
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plot(  # noqa: PLR0917 - click passes names
    model: str,
    version: int,
    features: tuple[str, ...],
    top: int,
    window: int,
    output: Path,
    form: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw reference and live rows over each other, a picture for each feature."""
    from fastserve.cli.drift_plot import draw, require_matplotlib  # noqa: PLC0415 - as it is rare

    require_matplotlib()
    endpoint = take_endpoint(options)
    with endpoint.connect_watch() as client:
        found = client.show_drift(
            model,
            version=version,
            features=features,
            top=top,
            window_seconds=window,
            histograms=True,
        )
    output.mkdir(parents=True, exist_ok=True)
    written = [path for each in found for path in draw(each, output, form)]
    if as_json:
        print_json([str(path) for path in written])
        return
    for path in written:
        click.echo(path)


def _print_made(made: "Made", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "place": made.place,
                "rows": made.profile.rows,
                "features": len(made.profile.sketch.schema.features),
                "has_outputs": made.profile.origin.has_outputs,
                "left_out_columns": made.left_out,
                "note": made.note,
            }
        )
        return
    features = len(made.profile.sketch.schema.features)
    click.echo(f"{made.profile.rows} rows, {features} features -> {printable(made.place)}")
    if made.left_out:
        click.echo(f"columns left out: {printable(', '.join(made.left_out))}")
    if made.note:
        click.echo(f"note: {printable(made.note)}")
