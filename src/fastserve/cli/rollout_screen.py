"""Rollouts in a terminal: where each one is, what its guards know, what is awaited."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from fastserve.cli.screen import print_table, printable

_MARKS: Final = {"pass": "pass", "fail": "FAIL", "hold": "hold"}
_MOST_AWAITED: Final = 6
_BAR_CELLS: Final = 20


def print_rollouts(rollouts: Sequence[dict[str, Any]]) -> None:
    """Each: a headline, its steps, its guards, what it waits for."""
    if not rollouts:
        click.echo("no model has had a rollout")
    for number, each in enumerate(rollouts):
        if number:
            click.echo()
        _print_one(each)


def print_history(changes: Sequence[dict[str, Any]]) -> None:
    """One line for each change, and the guards that decided below it."""
    print_table(
        ["TIME", "ROLLOUT", "VERSIONS", "CHANGE", "STEP", "WEIGHT", "BY", "REASON"],
        [
            (
                _time(each["time"]),
                f"{each['number']}{' (dry run)' if each['dry_run'] else ''}",
                f"{each['baseline']} -> {each['candidate']}",
                f"{_words(each['before']) or '-'} -> {_words(each['after'])}",
                each["step"] + 1,
                f"{each['weight']:.4g}",
                each["actor"],
                each["reason"],
            )
            for each in changes
        ],
        numeric=["STEP", "WEIGHT"],
    )


def _print_one(rollout: dict[str, Any]) -> None:
    judgement = rollout.get("judgement")
    dry = ", dry run: the route is left as it is" if rollout["dry_run"] else ""
    pending = ", the route has yet to become so" if rollout["is_pending"] else ""
    click.echo(
        printable(
            f"{rollout['model']}: version {rollout['baseline']} -> {rollout['candidate']}, "
            f"{_words(rollout['state'])}, {rollout['weight']:.1%} to the candidate{dry}{pending}"
        )
    )
    last = rollout["last"]
    click.echo(printable(f"{_time(last['time'])} by {last['actor']}: {last['reason']}"))
    click.echo()
    _print_steps(rollout, judgement)
    guards = (judgement or last)["guards"]
    if guards:
        click.echo()
        _print_guards(guards)
    awaited = judgement["awaited"] if judgement else []
    if rollout["state"] in {"waiting_for_human", "paused", "failed"}:
        awaited = ["your word: fastserve rollout resume, promote or rollback"]
    if awaited:
        click.echo("\nawaited:")
        for each in awaited[:_MOST_AWAITED]:
            click.echo(printable(f"  {each}"))
        if len(awaited) > _MOST_AWAITED:
            click.echo(f"  ... and {len(awaited) - _MOST_AWAITED} more")


def _print_steps(rollout: dict[str, Any], judgement: dict[str, Any] | None) -> None:
    has_ended = rollout["state"] in {"promoted", "rolled_back", "failed"}
    rows = []
    for place, step in enumerate(rollout["steps"]):
        if rollout["state"] == "promoted" or place < rollout["step"]:
            what = "done"
        elif place == rollout["step"]:
            what = "ended here" if has_ended else "now"
        else:
            what = ""
        requests = seconds = ""
        if what == "now" and judgement:
            requests = f"{judgement['candidate_requests']:,} of "
            seconds = f"{judgement['seconds']:.0f} of "
        filled = round(step["weight"] * _BAR_CELLS)
        rows.append(
            (
                place + 1,
                f"{step['weight']:.4g}",
                "█" * filled + "░" * (_BAR_CELLS - filled),
                f"{requests}{step['min_requests']:,}",
                f"{seconds}{step['min_seconds']:.0f}",
                "yes" if step["gate"] else "",
                what,
            )
        )
    print_table(
        ["STEP", "WEIGHT", "", "REQUESTS", "SECONDS", "GATE", " "],
        rows,
        numeric=["STEP", "WEIGHT", "REQUESTS", "SECONDS"],
    )


def _print_guards(guards: Sequence[dict[str, Any]]) -> None:
    print_table(
        ["GUARD", "", "VALUE", "INTERVAL", "LIMIT", "REQUESTS", "WHAT IT SAYS"],
        [
            (
                each["name"],
                _MARKS.get(each["verdict"], each["verdict"]),
                _number(each.get("value")),
                _interval(each.get("lower"), each.get("upper")),
                _number(each["limit"]),
                f"{each['candidate_requests']:,} / {each['baseline_requests']:,}",
                each["text"],
            )
            for each in guards
        ],
        numeric=["VALUE", "LIMIT", "REQUESTS"],
    )


def _interval(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return ""
    return f"{_number(lower)} to {_number(upper)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _words(state: str) -> str:
    return state.replace("_", " ")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
