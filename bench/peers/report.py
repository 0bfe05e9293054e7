"""The comparisons as a table: for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from peers.comparison import Comparison, Paced

CAPACITY = (
    *("server", "depth", "requests/s", "fastserve", "times", "per core", "fastserve", "times"),
    *("MB", "fastserve", "start s", "fastserve", "settings"),
)
LOADS = ("server", "offered/s", "p50 ms", "p99 ms", "p99.9 ms", "fastserve p50", "p99", "p99.9")
NOT_MEASURED = "-"


def capacity_row(found: Comparison) -> list[str]:
    """Returns a peer's line of the first table."""
    if found.reason:
        return [found.peer, *[NOT_MEASURED] * (len(CAPACITY) - 2), f"cannot run: {found.reason}"]
    theirs, ours = found.theirs, found.ours
    return [
        found.peer,
        f"{found.connections} x {found.in_flight}",
        _number(theirs.rps),
        _number(ours.rps),
        _ratios(ours.rps, theirs.rps),
        _number(theirs.rps_per_core),
        _number(ours.rps_per_core),
        _ratios(ours.rps_per_core, theirs.rps_per_core),
        _number(theirs.resident_mb),
        _number(ours.resident_mb),
        f"{statistics.median(theirs.start_seconds):.1f}",
        f"{statistics.median(ours.start_seconds):.1f}",
        "; ".join(word for word in (found.settings, found.note) if word),
    ]


def load_rows(found: Comparison) -> list[list[str]]:
    """Returns a peer's lines of the second table: one for each offered load."""
    return [
        [found.peer, f"{theirs.offered_rps:,}", *_tails(theirs), *_tails(ours)]
        for theirs, ours in zip(found.theirs.paced, found.ours.paced, strict=True)
        if theirs.answered_rps and ours.answered_rps
    ]


def markdown(comparisons: list[Comparison], machine: str) -> str:
    """Returns the tables of every model."""
    parts = [machine]
    for model, found in _by_model(comparisons).items():
        parts.append(f"## {model}")
        parts += [_markdown_table(heads, rows) for heads, rows in _tables(found)]
    return "\n\n".join(parts) + "\n"


def show(comparisons: list[Comparison], machine: str) -> None:
    """Prints the tables."""
    console = Console(width=200)
    console.print(machine)
    for model, found in _by_model(comparisons).items():
        for heads, rows in _tables(found):
            table = Table(*heads, title=model)
            for row in rows:
                table.add_row(*row)
            console.print(table)


def _tables(found: list[Comparison]) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    loads = [row for one in found for row in load_rows(one)]
    return [(CAPACITY, [capacity_row(one) for one in found]), (LOADS, loads)]


def _by_model(comparisons: list[Comparison]) -> dict[str, list[Comparison]]:
    models: dict[str, list[Comparison]] = {}
    for one in comparisons:
        models.setdefault(one.model, []).append(one)
    return models


def _markdown_table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [list(heads), ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines
    )


def _ratios(ours: list[float], theirs: list[float]) -> str:
    found = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(found):.3g} ({min(found):.3g} - {max(found):.3g})"


def _number(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f}"


def _tails(paced: Paced) -> list[str]:
    late = "" if paced.is_kept_up else " (fell behind)"
    return [NOT_MEASURED if ms is None else f"{ms:.3g}{late}" for ms in paced.tails().values()]
