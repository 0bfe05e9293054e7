"""`fastserve serve`: settings from the command line, then the server until it is told to stop."""

import os
from pathlib import Path
from typing import Any

import click

from fastserve.cli.command import Command

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


# Every default is the setting's own (fastserve.config): here it is only shown.
@click.command(cls=Command)
@click.argument("repository", required=False, type=_FOLDER)
@click.option(
    "--config",
    type=_FILE,
    help="The settings file, TOML. [default: FASTSERVE_CONFIG's, else ./fastserve.toml]",
)
@click.option(
    "--grpc",
    multiple=True,
    metavar="HOST:PORT",
    help="Where gRPC answers; may be repeated. Also unix:PATH. [default: 127.0.0.1:8001]",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    help="Where /metrics, /healthz and /readyz answer; 'off' for nowhere. "
    "[default: 127.0.0.1:8002]",
)
@click.option(
    "--transport",
    type=click.Choice(["native", "grpcio"]),
    help="The gRPC transport. [default: native]",
)
@click.option("--io-threads", type=int, help="Threads for connections; 0: planned.")
@click.option("--executors", type=int, help="Threads that run models; 0: planned.")
@click.option("--tls-cert", type=_FILE, help="The server's certificate chain, PEM.")
@click.option("--tls-key", type=_FILE, help="The key of --tls-cert, PEM.")
@click.option("--tls-client-ca", type=_FILE, help="Ask clients for a certificate of these, PEM.")
@click.option(
    "--token-file",
    type=_FILE,
    help="Ask for a token of this file; its lines are TOKEN or NAME ROLE TOKEN.",
)
@click.option(
    "--allow-insecure",
    is_flag=True,
    help="Listen on addresses that other machines reach without TLS or tokens.",
)
@click.option("--watch", is_flag=True, help="Load what appears in the repository, at once.")
@click.option(
    "--poll", type=float, metavar="SECONDS", help="Look into the repository every so often."
)
@click.option("--explicit", is_flag=True, help="Load only --load-model, and what is asked for.")
@click.option(
    "--load-model",
    multiple=True,
    metavar="MODEL",
    help="With --explicit: load this at the start; may be repeated, '*' for all.",
)
@click.option(
    "--settle-seconds",
    type=float,
    help="How long a plain copy must stand still to count as complete. [default: 1]",
)
@click.option(
    "--memory-budget",
    metavar="SIZE",
    help="Unload what was not used longest above so many bytes; 512MiB, 2GiB.",
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where labels and the audit log lie. [default: .fastserve in the repository]",
)
@click.option("--audit-key-file", type=_FILE, help="Sign the audit log with this key.")
@click.option(
    "--triton-metrics", is_flag=True, help="Show Triton's metric names as well as our own."
)
@click.option(
    "--drain-seconds",
    type=float,
    help="How long calls in flight may go on after SIGTERM. [default: 30]",
)
@click.option("--max-message-bytes", metavar="SIZE", help="The largest request. [default: 64MiB]")
@click.pass_context
def serve(context: click.Context, /, config: Path | None, **_options: Any) -> None:
    """Serve the newest version of each model in REPOSITORY.

    The repository holds <model>/<version>/model.onnx. Options go over the environment, that over
    the settings file; see `fastserve config show`. Logs are JSON lines on stderr; the one with the
    event "ready" says that inferences are answered. SIGTERM drains and stops.
    """
    # Imported here so that the help is quick.
    from fastserve.config import check_settings  # noqa: PLC0415
    from fastserve.settings import find_settings_file, load_settings  # noqa: PLC0415

    file = find_settings_file(config, os.environ)
    sourced = load_settings(file, os.environ, _given_flags(context))
    check_settings(sourced.settings)
    from fastserve.server import run  # noqa: PLC0415

    context.exit(run(sourced))


def _given_flags(context: click.Context) -> dict[str, Any]:
    """What stands on the command line, under the names of `fastserve.settings.FLAGS`."""
    flags = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        if name == "config" or not parameter.expose_value:
            continue
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            is_option = isinstance(parameter, click.Option)
            flags[parameter.opts[0] if is_option else name.upper()] = context.params[name]
    return flags
