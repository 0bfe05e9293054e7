"""`fastserve route`: which version answers a request that names none."""

from typing import Any, Final

import click

from fastserve.cli.command import Command
from fastserve.cli.completion import complete_model
from fastserve.cli.endpoint import endpoint_options, take_endpoint
from fastserve.cli.route_words import read_headers, read_rules, read_shadow, read_weights
from fastserve.cli.screen import print_json

_MODEL = click.argument("model", shell_complete=complete_model)
_GENERATION = click.option(
    "--generation", type=click.IntRange(min=0),
    help="Change nothing when another generation stands.",
)  # fmt: skip
_REASON = click.option("--reason", default="", help="Why; for the audit log.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
# Of a route, what --keep takes over.
_KEPT: Final = ("rules", "sticky", "fallback", "shadow")
_BOUNDS: Final = ("min_share", "max_share", "interval_seconds")


@click.group()
def route() -> None:
    """Show and change which version answers a request that names none, and explain it."""


@route.command(cls=Command)
@click.argument("model", required=False, default="", shell_complete=complete_model)
@endpoint_options
@_JSON
def show(model: str, as_json: bool, **options: Any) -> None:
    """Show the route of MODEL, or all routes."""
    endpoint = take_endpoint(options)
    with endpoint.connect_release() as client:
        states = client.show_routes(model)
    if as_json:
        print_json(states)
        return
    from fastserve.cli.route_screen import print_routes  # noqa: PLC0415 - for --help's sake

    print_routes(states)


@route.command("set", cls=Command)
@_MODEL
@click.option("--weight", "weights", multiple=True, callback=read_weights, metavar="VERSION=WEIGHT",
              help="Of the sum of all weights; repeat it.")  # fmt: skip
@click.option("--strategy", type=click.Choice(["weights", "canary", "ab", "blue_green", "bandit"]),
              help="What the route is for; its rules are checked.  [default: weights]")  # fmt: skip
@click.option("--sticky", metavar="header:NAME",
              help="The same value, the same version; also parameter:NAME.")  # fmt: skip
@click.option("--rule", "rules", multiple=True, callback=read_rules,
              metavar="HEADER=VALUE:VERSION",
              help="Requests with this header get this version; also HEADER=BEGINNING*:VERSION and "
              "HEADER:VERSION. Repeat it; the first that matches decides.")  # fmt: skip
@click.option("--fallback", type=click.IntRange(min=0),
              help="Answers when the chosen version cannot.  [default: what serves]")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Deal all sticky keys anew.")
@click.option("--shadow", callback=read_shadow, metavar="VERSION=SHARE",
              help="Copy this share of the requests to a candidate.")  # fmt: skip
@click.option("--min-share", type=float, help="Of each version of a bandit.  [default: 0.05]")
@click.option("--max-share", type=float, help="Likewise.  [default: 0.9]")
@click.option("--interval-seconds", type=float,
              help="A bandit's weights move once in so long at most.  [default: 300]")  # fmt: skip
@click.option("--blue-green", type=click.IntRange(min=1), metavar="VERSION",
              help="Everything to this version; the one before stays loaded.")  # fmt: skip
@click.option("--keep", is_flag=True,
              help="Keep rules, sticky key, fallback, shadow and bounds where none "
              "are given.")  # fmt: skip
@_GENERATION
@_REASON
@endpoint_options
@_JSON
def set_(model: str, generation: int | None, reason: str, as_json: bool, **options: Any) -> None:
    """Give MODEL another route, in one step: requests that start afterwards follow it."""
    endpoint = take_endpoint(options)
    blue_green, keep = options.pop("blue_green"), options.pop("keep")
    given = {name: value for name, value in options.items() if value not in (None, [], ())}
    bounds = {name: given.pop(name) for name in _BOUNDS if name in given}
    if bounds:
        given["bandit"] = bounds
    if blue_green is not None and given:
        raise click.UsageError("--blue-green says it all: leave the other options of the route out")
    if blue_green is None and "weights" not in given:
        raise click.UsageError("give --weight at least once, or --blue-green")
    with endpoint.connect_release() as client:
        if blue_green is not None:
            state = client.set_blue_green(
                model, blue_green, expected_generation=generation, reason=reason
            )
        else:
            wanted = {"entries": given.pop("weights"), **given}
            if keep:
                (standing,) = client.show_routes(model)
                # What is kept is of this generation: of another one it might not be right.
                generation = standing["generation"] if generation is None else generation
                before = standing.get("route", {})
                wanted = {name: before[name] for name in _KEPT if name in before} | wanted
                if given.get("strategy") == "bandit":
                    wanted["bandit"] = before.get("bandit", {}) | bounds
            state = client.set_route(model, wanted, expected_generation=generation, reason=reason)
    _print_state(state, as_json=as_json)


@route.command(cls=Command)
@_MODEL
@_GENERATION
@_REASON
@endpoint_options
@_JSON
def remove(model: str, generation: int | None, reason: str, as_json: bool, **options: Any) -> None:
    """Take MODEL's route away: the version that serves answers all requests."""
    with take_endpoint(options).connect_release() as client:
        state = client.remove_route(model, expected_generation=generation, reason=reason)
    _print_state(state, as_json=as_json)


@route.command(cls=Command)
@_MODEL
@_GENERATION
@_REASON
@endpoint_options
@_JSON
def back(model: str, generation: int | None, reason: str, as_json: bool, **options: Any) -> None:
    """Go back: to the other version of a blue/green route, else to the route before this one."""
    with take_endpoint(options).connect_release() as client:
        state = client.back(model, expected_generation=generation, reason=reason)
    _print_state(state, as_json=as_json)


@route.command(cls=Command)
@_MODEL
@click.option("--key", default="", help="The value of the sticky key.")
@click.option("--header", "headers", multiple=True, callback=read_headers, metavar="NAME=VALUE",
              help="A header of the request; repeat it.")  # fmt: skip
@endpoint_options
@_JSON
def explain(model: str, key: str, headers: dict[str, str], as_json: bool, **options: Any) -> None:
    """Say which version a request for MODEL would get, and why."""
    with take_endpoint(options).connect_release() as client:
        found = client.explain_route(model, key=key, headers=headers)
    if as_json:
        print_json(found)
        return
    from fastserve.cli.route_screen import print_explanation  # noqa: PLC0415 - likewise

    print_explanation(found)


@route.command(cls=Command)
@_MODEL
@endpoint_options
@_JSON
def results(model: str, as_json: bool, **options: Any) -> None:
    """Show the A/B test of MODEL: what each version did, and how far it is from the first."""
    with take_endpoint(options).connect_release() as client:
        found = client.route_results(model)
    if as_json:
        print_json(found)
        return
    from fastserve.cli.results_screen import print_results  # noqa: PLC0415 - likewise

    print_results(found)


def _print_state(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    from fastserve.cli.route_screen import print_route  # noqa: PLC0415 - likewise

    print_route(state)
