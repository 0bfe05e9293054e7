"""`fastserve serve`: settings from the command line, then the server until it is told to stop."""

from pathlib import Path
from typing import Any

import click

from fastserve.cli.command import Command

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("repository", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--grpc",
    multiple=True,
    metavar="HOST:PORT",
    default=("127.0.0.1:8001",),
    show_default="127.0.0.1:8001",
    help="Where gRPC answers; may be repeated. Also unix:PATH.",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    default="127.0.0.1:8002",
    show_default=True,
    help="Where /metrics, /healthz and /readyz answer; 'off' for nowhere.",
)
@click.option(
    "--transport",
    type=click.Choice(["native", "grpcio"]),
    default="native",
    show_default=True,
    help="The gRPC transport.",
)
@click.option("--io-threads", type=int, default=0, help="Threads for connections; 0: planned.")
@click.option("--executors", type=int, default=0, help="Threads that run models; 0: planned.")
@click.option("--tls-cert", type=_FILE, help="The server's certificate chain, PEM.")
@click.option("--tls-key", type=_FILE, help="The key of --tls-cert, PEM.")
@click.option("--tls-client-ca", type=_FILE, help="Ask clients for a certificate of these, PEM.")
@click.option("--token-file", type=_FILE, help="Ask for a token: those of this file, one a line.")
@click.option(
    "--allow-insecure",
    is_flag=True,
    help="Listen on addresses that other machines reach without TLS or tokens.",
)
@click.option(
    "--drain-seconds",
    type=float,
    default=30.0,
    show_default=True,
    help="How long calls in flight may go on after SIGTERM.",
)
@click.option("--max-message-bytes", type=int, help="The largest request. [default: 64 MiB]")
def serve(**options: Any) -> None:
    """Serve the newest version of each model in REPOSITORY.

    The repository holds <model>/<version>/model.onnx. Logs are JSON lines on stderr; the one with
    the event "ready" says that inferences are answered. SIGTERM drains and stops.
    """
    # Imported here so that the help is quick.
    from fastserve.config import build_settings  # noqa: PLC0415

    max_message_bytes = options["max_message_bytes"]
    settings = build_settings(
        options["repository"],
        grpc=options["grpc"],
        http=None if options["http"] == "off" else options["http"],
        transport=options["transport"],
        certificate=options["tls_cert"],
        key=options["tls_key"],
        client_ca=options["tls_client_ca"],
        token_file=options["token_file"],
        allow_insecure=options["allow_insecure"],
        io_threads=options["io_threads"],
        executors=options["executors"],
        drain_seconds=options["drain_seconds"],
        limits={} if max_message_bytes is None else {"max_message_bytes": max_message_bytes},
    )
    from fastserve.server import run  # noqa: PLC0415

    click.get_current_context().exit(run(settings))
