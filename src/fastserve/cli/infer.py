"""`fastserve infer`: one request from files or literals, one answer on the screen."""

from pathlib import Path
from typing import Any

import click

from fastserve.cli.command import Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import endpoint_options, take_endpoint


@click.command(cls=Command)
@click.argument("model", shell_complete=complete_model)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=@FILE|NAME=JSON",
    help="One input, from a .npy, .json or .csv file or as JSON; may be repeated.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="All inputs, from a .json, .csv, .npz or .npy file.",
)
@click.option("--version", default="", help="The version to ask; the newest if left out.")
@click.option("--output", "outputs", multiple=True, help="An output to return; all if left out.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How to print the answer.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--rows",
    "max_rows",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Rows of a table to show; 0 for all.",
)
@endpoint_options
def infer(  # noqa: PLR0917 - click passes names
    model: str,
    inputs: tuple[str, ...],
    data: Path | None,
    version: str,
    outputs: tuple[str, ...],
    form: str,
    as_json: bool,
    max_rows: int,
    **options: Any,
) -> None:
    """Send one inference to MODEL and print the answer.

    Values are converted to the datatypes that the model asks for. CSV files begin with a header:
    its columns carry the names of inputs, or are the features of the only input in their order.
    """
    endpoint = take_endpoint(options)
    if data is None and not inputs:
        raise click.UsageError("no input: give --data FILE or --input NAME=@FILE")
    # grpc and numpy take longer to load than the help to print.
    from fastserve.cli.answer import print_answer  # noqa: PLC0415
    from fastserve.cli.source import read_inputs  # noqa: PLC0415

    with endpoint.connect() as client:
        metadata = client.model_metadata(model, version)
        arrays = read_inputs(metadata, data, inputs)
        result = client.infer(model, arrays, version=version, outputs=outputs or None)
    print_answer(result, "json" if as_json else form, max_rows)
