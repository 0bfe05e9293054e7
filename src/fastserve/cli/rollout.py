"""`fastserve rollout`: a new version gets its traffic step by step, judged every second."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastserve.cli.command import FAILED, Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import Endpoint, endpoint_options, take_endpoint
from fastserve.cli.finite_range import FiniteRange
from fastserve.cli.screen import print_json, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastserve.client import RolloutClient

_WATCH_SECONDS: Final = 1.0
_ENDED: Final = ("promoted", "rolled_back")

_MODEL = click.argument("model", shell_complete=complete_model)
_REASON = click.option("--reason", default="", help="Why, for the history and the audit log.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _read_weights(
    _context: click.Context, _parameter: click.Parameter, value: str
) -> list[float] | None:
    """`5%,25%,50%` or `0.05,0.25,0.5`."""
    if not value:
        return None
    try:
        weights = [
            float(word[:-1]) / 100 if word.endswith("%") else float(word)
            for word in (part.strip() for part in value.split(","))
        ]
    except ValueError:
        weights = [math.nan]
    if not all(map(math.isfinite, weights)):
        raise click.BadParameter(
            f"{printable(value)!r}: expected weights as 5%,25%,50% or 0.05,0.25,0.5"
        )
    return weights


@click.group()
def rollout() -> None:
    """Give a new version its traffic step by step, judged against the old one."""


@rollout.command(cls=Command)
@_MODEL
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="TOML with the table [routing.rollout], or its keys alone.")  # fmt: skip
@click.option("--baseline", type=click.IntRange(min=1), help="The version that answers now.")
@click.option("--candidate", type=click.IntRange(min=1), help="The version to move to.")
@click.option("--steps", callback=_read_weights, default="", metavar="SHARE,...",
              help="The candidate's shares, as 5%,25%,50%.")  # fmt: skip
@click.option("--min-requests", type=click.IntRange(min=1),
              help="Of the candidate in each of --steps.")  # fmt: skip
@click.option("--min-seconds", type=FiniteRange(min=1), help="Of each of --steps.")
@click.option("--manual", is_flag=True, help="Wait for `promote` after the last step.")
@click.option("--dry-run", is_flag=True, help="Judge, and leave the route as it is.")
@_REASON
@endpoint_options
@_JSON
def start(  # noqa: PLR0917 - click passes names
    model: str,
    file: Path | None,
    baseline: int | None,
    candidate: int | None,
    steps: list[float] | None,
    min_requests: int | None,
    min_seconds: float | None,
    manual: bool,
    dry_run: bool,
    reason: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Begin a rollout of MODEL. Options go before what --file says."""
    endpoint = take_endpoint(options)
    declared = {} if file is None else _read_file(file)
    given = {"baseline": baseline, "candidate": candidate}
    declared |= {name: value for name, value in given.items() if value is not None}
    if steps is not None:
        step = {"min_requests": min_requests, "min_seconds": min_seconds}
        known = {name: value for name, value in step.items() if value is not None}
        declared["steps"] = [{"weight": weight, **known} for weight in steps]
    elif min_requests is not None or min_seconds is not None:
        raise click.UsageError("--min-requests and --min-seconds go with --steps")
    if manual:
        declared["auto_promote"] = False
    if dry_run:
        declared["dry_run"] = True
    missing = [name for name in given if name not in declared]
    if missing:
        raise click.UsageError(f"give --{' and --'.join(missing)}, or --file")
    with endpoint.connect_rollout() as client:
        found = client.start(model, declared, reason=reason)
    _print_one(found, as_json=as_json)


@rollout.command(cls=Command)
@click.argument("model", required=False, default="", shell_complete=complete_model)
@click.option("--watch", is_flag=True, help="Draw it anew every second, until it has ended.")
@endpoint_options
@_JSON
def status(model: str, watch: bool, as_json: bool, **options: Any) -> None:
    """Show the rollout of MODEL, or of every model: steps, guards, and what is awaited."""
    endpoint = take_endpoint(options)
    with endpoint.connect_rollout() as client:
        if watch:
            _watch(client, model, as_json=as_json)
            return
        found = client.status(model)
    if as_json:
        print_json(found)
        return
    from fastserve.cli.rollout_screen import print_rollouts  # noqa: PLC0415 - for --help's sake

    print_rollouts(found)


@rollout.command(cls=Command)
@_MODEL
@_REASON
@endpoint_options
@_JSON
def pause(model: str, reason: str, as_json: bool, **options: Any) -> None:
    """Leave the route of MODEL as it is, and judge nothing, until you say so."""
    _move(take_endpoint(options), lambda client: client.pause(model, reason=reason), as_json)


@rollout.command(cls=Command)
@_MODEL
@_REASON
@endpoint_options
@_JSON
def resume(model: str, reason: str, as_json: bool, **options: Any) -> None:
    """Go on: with the step if it was paused, with the next one if it waited for your word."""
    _move(take_endpoint(options), lambda client: client.resume(model, reason=reason), as_json)


@rollout.command(cls=Command)
@_MODEL
@_REASON
@endpoint_options
@_JSON
def promote(model: str, reason: str, as_json: bool, **options: Any) -> None:
    """Give the candidate all requests now, whatever the judge says."""
    _move(take_endpoint(options), lambda client: client.promote(model, reason=reason), as_json)


@rollout.command(cls=Command)
@_MODEL
@_REASON
@endpoint_options
@_JSON
def rollback(model: str, reason: str, as_json: bool, **options: Any) -> None:
    """Give the baseline all requests now."""
    _move(take_endpoint(options), lambda client: client.rollback(model, reason=reason), as_json)


@rollout.command(cls=Command)
@_MODEL
@endpoint_options
@_JSON
def history(model: str, as_json: bool, **options: Any) -> None:
    """Show what has happened in the rollouts of MODEL, oldest first."""
    endpoint = take_endpoint(options)
    with endpoint.connect_rollout() as client:
        found = client.history(model)
    if as_json:
        print_json(found)
        return
    from fastserve.cli.rollout_screen import print_history  # noqa: PLC0415 - for --help's sake

    print_history(found)


def _move(
    endpoint: Endpoint, order: "Callable[[RolloutClient], dict[str, Any]]", as_json: bool
) -> None:
    with endpoint.connect_rollout() as client:
        found = order(client)
    _print_one(found, as_json=as_json)


def _print_one(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from fastserve.cli.rollout_screen import print_rollouts  # noqa: PLC0415 - for --help's sake

    print_rollouts([found])


def _watch(client: "RolloutClient", model: str, *, as_json: bool) -> None:
    """Until all have ended; the exit code is 1 when one was rolled back."""
    from fastserve.cli.rollout_screen import print_rollouts  # noqa: PLC0415 - for --help's sake

    while True:
        found = client.status(model)
        if as_json:
            print_json(found)
        else:
            click.clear()
            print_rollouts(found)
        if all(each["state"] in _ENDED for each in found):
            break
        time.sleep(_WATCH_SECONDS)
    if any(each["state"] == "rolled_back" for each in found):
        click.get_current_context().exit(FAILED)


def _read_file(file: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - for --help's sake

    try:
        found = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: not TOML: {error}") from error
    inner = found.get("routing", {}).get("rollout") if "routing" in found else found
    if not isinstance(inner, dict):
        raise click.UsageError(f"{file}: has no table [routing.rollout]")
    return inner
