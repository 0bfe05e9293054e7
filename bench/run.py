"""The table of speed and memory: `make bench`.

Each figure is a ratio inside one run: its two sides are measured in turn, A B A B ..., at least
five times, and the median of the ratios is quoted with the smallest and the largest. The server is
pinned to one core and the client to the other. Absolute numbers swing with the machine, ratios far
less.

    python bench/run.py [--only NAME ...] [--repeats N] [--seconds S] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import footprint
import rates
import tails
from figure import Setting
from repository import bench_models
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from figure import Figure

FIGURES: dict[str, Callable[[Setting], list[Figure]]] = {
    "small": rates.small_requests,
    "one": tails.one_in_flight,
    "busy": tails.busy_python,
    "scraped": tails.scraped,
    "shadow": tails.shadowing,
    "arrivals": tails.arrivals,
    "conv": rates.convolution,
    "large": rates.large_tensors,
    "trees": rates.trees,
    "sketches": rates.sketches,
    "routes": rates.routes,
    "everything": rates.everything,
    "connections": footprint.connections,
    "start": footprint.memory_and_start,
}


def show(figures: list[Figure]) -> None:
    """Prints the table."""
    table = Table(title="fastserve: measured beside a partner in the same run")
    for heading in ("figure", "what", "median", "range", "goal", "met"):
        table.add_column(heading)
    for figure in figures:
        sign = ">=" if figure.at_least else "<="
        verdict = {True: "yes", False: "NO", None: ""}[figure.is_met]
        table.add_row(
            figure.name,
            figure.what,
            f"{figure.median:.3g}",
            f"{min(figure.values):.3g} - {max(figure.values):.3g}",
            "report" if figure.goal is None else f"{sign} {figure.goal:g}",
            verdict,
        )
    console = Console(width=132)
    console.print(table)
    for figure in figures:
        if figure.detail:
            parts = ", ".join(f"{key} {value:,.0f}" for key, value in figure.detail.items())
            console.print(f"{figure.name}: {parts}")


def main() -> None:
    """Measures what is asked for and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=sorted(FIGURES), default=list(FIGURES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    repository = bench_models()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="fastserve-bench-") as folder:
        setting = Setting(repository, Path(folder), arguments.repeats, arguments.seconds)
        for name in arguments.only:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            figures += FIGURES[name](setting)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1))


if __name__ == "__main__":
    main()
