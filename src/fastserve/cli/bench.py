"""`fastserve bench`: load on a server of the protocol, measured without coordinated omission."""

from pathlib import Path
from typing import Any

import click

from fastserve.cli.command import Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.finite_range import FiniteRange

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_POSITIVE = FiniteRange(min=0, min_open=True)


@click.command(cls=Command)
@click.argument(
    "models", metavar="MODEL...", nargs=-1, required=True, shell_complete=complete_model
)
@click.option("--rate", type=_POSITIVE, help="Open loop: requests per second, all together.")
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="How an open loop's requests are spaced.",
)
@click.option(
    "--connections", type=click.IntRange(min=1), default=4, show_default=True, help="Connections."
)
@click.option(
    "--in-flight",
    type=click.IntRange(min=1),
    help="Calls at once on each connection: all the time in a closed loop (1 if left out), at most "
    "in an open one (100).",
)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Generator threads."
)
@click.option(
    "--duration",
    type=_POSITIVE,
    help="Seconds to measure (10 unless --requests says when to end); of each step of a sweep 3.",
)
@click.option("--requests", type=click.IntRange(min=1), help="End after so many requests.")
@click.option(
    "--warm-up",
    default="auto",
    show_default=True,
    metavar="auto|SECONDS",
    help="What to leave out at the start; auto waits for steady answers, 10 s at most.",
)
@click.option("--deadline", type=_POSITIVE, help="Milliseconds that a call may take.")
@click.option("--data", type=_FILE, help="Inputs from a .npz, .npy, .json or .csv file.")
@click.option(
    "--payload",
    "payload_files",
    type=_FILE,
    multiple=True,
    help="A serialised ModelInferRequest, sent as it is; may be repeated. One MODEL names them.",
)
@click.option("--version", default="", help="The version to ask; the server's choice if left out.")
@click.option(
    "--rows", type=click.IntRange(min=1), default=1, show_default=True, help="Made-up rows."
)
@click.option(
    "--variants",
    type=click.IntRange(min=1, max=10_000),
    default=16,
    show_default=True,
    help="Made-up requests for each model, sent in turn.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of values and arrivals.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Metadata to send.")
@click.option(
    "--sweep",
    "p99_ms",
    type=_POSITIVE,
    metavar="MS",
    help="Find the highest rate that keeps this p99.",
)
@click.option("--against", metavar="HOST:PORT", help="Compare with this server, in turns.")
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Turns of a comparison; they share the duration.",
)
@click.option(
    "--max-error-rate",
    type=FiniteRange(min=0, max=1),
    help="Exit with 1 when a larger share of the requests failed.",
)
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a report.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@endpoint_options
def bench(models: tuple[str, ...], **options: Any) -> None:
    """Put load on MODEL..., and tell rates and latencies up to p99.99.

    With --rate requests are due at times fixed beforehand, and a latency counts from then, also
    while the server does not answer. Without it each connection keeps --in-flight calls running.

    Inputs are made up from the model's signature unless --data or --payload gives them.
    """
    endpoint = take_endpoint(options)
    # grpc and numpy take longer to load than the help to print.
    from fastserve.cli.bench_run import Wish, run_bench  # noqa: PLC0415

    run_bench(endpoint, Wish(models=models, **options))
