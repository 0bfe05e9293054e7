"""What `fastserve route` prints for people."""

import time
from collections.abc import Iterable
from typing import Any

import click

from fastserve.cli.route_words import rule_text
from fastserve.cli.screen import print_table, printable


def print_routes(states: Iterable[dict[str, Any]]) -> None:
    """One after the other."""
    is_first = True
    for state in states:
        if not is_first:
            click.echo()
        print_route(state)
        is_first = False
    if is_first:
        click.echo("no model has a route: requests get the version that serves")


def print_route(state: dict[str, Any]) -> None:
    route = state.get("route")
    if route is None:
        generation = f" (generation {state['generation']})" if state["generation"] else ""
        click.echo(
            printable(f"{state['model']}: no route{generation}; the version that serves answers")
        )
        return
    click.echo(
        printable(f"{state['model']}: {route['strategy']}, generation {state['generation']}")
    )
    _print_entries(state)
    for place, rule in enumerate(route["rules"], 1):
        click.echo(printable(f"rule {place}: {rule_text(rule)} -> version {rule['version']}"))
    facts = {
        "sticky key": route["sticky"],
        "fallback": f"version {route['fallback']}" if route["fallback"] else "",
        "shadow": _shadow_text(route),
        "bounds": _bounds_text(route.get("bandit")),
        "awaited": "; ".join(state.get("bandit", {}).get("awaited", ())),
        "requests": _counts_text(state["requests"]),
        "goes back to": _previous_text(state),
        "changed": _changed_text(state),
    }
    for name, text in facts.items():
        if text:
            click.echo(printable(f"{name}: {text}"))


def _print_entries(state: dict[str, Any]) -> None:
    entries = state["route"]["entries"]
    total = sum(entry["weight"] for entry in entries)
    arms = {arm["version"]: arm for arm in state.get("bandit", {}).get("arms", ())}
    labels = ["RIGHT", "WRONG"] if arms else []
    print_table(
        ["VERSION", "WEIGHT", "SHARE", *labels, "STATE"],
        [
            (
                entry["version"],
                f"{entry['weight']:.6g}",
                percent(entry["weight"] / total),
                *(f"{arms[entry['version']][name.lower()]:,}" for name in labels),
                state["not_ready"].get(entry["version"], "READY"),
            )
            for entry in entries
        ],
        numeric=["VERSION", "WEIGHT", "SHARE", *labels],
    )


def print_explanation(found: dict[str, Any]) -> None:
    click.echo(printable(f"{found['model']}: {_answer_text(found)}"))
    click.echo(printable(f"because: {_reason_text(found)}"))
    if not found["shares"]:
        return
    click.echo()
    print_table(
        ["VERSION", "WEIGHT", "SHARE", "SHARE OF KEYS"],
        [
            (
                share["version"],
                f"{share['weight']:.6g}",
                percent(share["weight_share"]),
                percent(share["key_share"]),
            )
            for share in found["shares"]
        ],
        numeric=["VERSION", "WEIGHT", "SHARE", "SHARE OF KEYS"],
    )


def percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _answer_text(found: dict[str, Any]) -> str:
    version = found["version"]
    if not version:
        return "any version with a weight" if found["reason"] == "weight" else "no version"
    if found["is_ready"]:
        return f"version {version}"
    if found["fallback"]:
        return f"version {found['fallback']}, in place of version {version}, which cannot answer"
    return f"nobody: version {version} cannot answer"


def _reason_text(found: dict[str, Any]) -> str:
    match found["reason"]:
        case "rule":
            return f"rule {found['rule_place']} matches: {rule_text(found['rule'])}"
        case "sticky":
            return f"key {found['key']!r} has slot {found['slot']} of 65,536"
        case "weight":
            return "no rule matches and there is no sticky key: requests are dealt by weight"
        case _:
            return "the model has no route"


def _shadow_text(route: dict[str, Any]) -> str:
    shadow = route.get("shadow")
    if shadow is None:
        return ""
    live = max(route["entries"], key=lambda entry: entry["weight"])["version"]
    return (
        f"{percent(shadow['share'])} of what version {live} answers is copied to version "
        f"{shadow['version']}"
    )


def _bounds_text(bandit: dict[str, Any] | None) -> str:
    if bandit is None:
        return ""
    return (
        f"{percent(bandit['min_share'])} to {percent(bandit['max_share'])} each, moved once in "
        f"{bandit['interval_seconds']:g} seconds at most"
    )


def _counts_text(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} by {reason}" for reason, count in counts.items() if count)


def _previous_text(state: dict[str, Any]) -> str:
    route, previous = state["route"], state.get("previous")
    if route["strategy"] == "blue_green":
        idle = [str(e["version"]) for e in route["entries"] if not e["weight"]]
        return f"version {idle[0]}" if idle else ""
    if previous is None:
        return ""
    shares = ", ".join(f"{e['version']}={e['weight']:.6g}" for e in previous["entries"])
    return f"{previous['strategy']} {shares}"


def _changed_text(state: dict[str, Any]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(state["time"]))
    why = f": {state['reason']}" if state["reason"] else ""
    return f"{when} by {state['actor']}{why}"
