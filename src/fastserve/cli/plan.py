"""`fastserve plan`: what a server would do with a repository on this machine."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fastserve.cli.command import FAILED, Command
from fastserve.cli.screen import print_json, print_table, printable

if TYPE_CHECKING:
    from fastserve.cli.forecast import Forecast

_MIB = 1 << 20


@click.command(cls=Command)
@click.argument(
    "repository", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings file, TOML. [default: FASTSERVE_CONFIG's, else ./fastserve.toml]",
)
@click.option("--io-threads", type=int, help="As given to serve; 0: planned.")
@click.option("--executors", type=int, help="As given to serve; 0: planned.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    repository: Path | None,
    file: Path | None,
    io_threads: int | None,
    executors: int | None,
    as_json: bool,
) -> None:
    """Show threads, and for each model of REPOSITORY batching, its reason, and memory.

    Loads the newest version of each model in this process, as `serve` does, and serves nothing.
    Settings come from the file and the environment as `serve` would read them. The exit code is 1
    when a model cannot be loaded.
    """
    from fastserve.cli.forecast import make_forecast  # noqa: PLC0415 - loads the compiled core
    from fastserve.settings import (  # noqa: PLC0415 - so that the help is quick
        find_settings_file,
        load_settings,
        read_layers,
    )

    given = {"REPOSITORY": repository, "--io-threads": io_threads, "--executors": executors}
    flags: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    file = find_settings_file(file, os.environ)
    has_repository = "repository" in read_layers(file, os.environ, flags)
    if not has_repository:
        flags["REPOSITORY"] = Path()
    settings = load_settings(file, os.environ, flags).settings
    forecast = make_forecast(settings, has_repository=has_repository)
    if as_json:
        print_json(forecast.as_dict())
    else:
        _print(forecast, has_repository=has_repository)
    if any(model.problem for model in forecast.models) or forecast.problems:
        click.get_current_context().exit(FAILED)


def _print(forecast: "Forecast", *, has_repository: bool) -> None:
    threads = forecast.threads
    click.echo(
        f"threads: {threads.io_threads} for connections, {threads.executors} that run models, "
        f"{threads.intra_op_threads} in each run\nbecause: {threads.reason}"
    )
    if not has_repository:
        return
    click.echo()
    if forecast.models:
        numeric = ["VERSION", "MAX ROWS", "1 ROW us", "MEMORY MiB"]
        print_table(
            ["MODEL", *numeric, "BATCHING"],
            [
                (
                    model.name,
                    model.version or "-",
                    model.max_rows or "-",
                    f"{model.costs[0].run_ns / 1000:.0f}" if model.costs else "-",
                    "-" if model.problem else f"{model.memory_bytes / _MIB:.1f}",
                    f"cannot be loaded: {model.problem}" if model.problem else model.batching,
                )
                for model in forecast.models
            ],
            numeric=numeric,
        )
    else:
        click.echo("the repository holds no model")
    for place, problem in forecast.problems:
        click.echo(f"not served: {printable(place)}: {printable(problem)}")
