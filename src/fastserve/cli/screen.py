"""Printing: tables for people, JSON for scripts."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

# Wide enough that a table in a pipe or a file is never cut.
_UNBOUNDED_COLUMNS: Final = 10_000


def print_json(value: Any) -> None:
    """One JSON document. Numbers that JSON lacks are the strings "NaN", "Infinity", "-Infinity"."""
    click.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    numeric: Sequence[str] = (),
) -> None:
    """A table; columns named in `numeric` are aligned to the right."""
    # rich takes longer to load than the rest of a command together.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, title_justify="left", header_style="bold")
    for column in columns:
        is_numeric = column in numeric
        table.add_column(
            Text(column), justify="right" if is_numeric else "left", no_wrap=is_numeric,
            overflow="fold",
        )  # fmt: skip
    for row in rows:
        # Text, not str: brackets in a shape are not markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    if title:
        click.echo(f"{printable(title)}\n")
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else _UNBOUNDED_COLUMNS, highlight=False)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def printable(value: Any) -> str:
    """One line of text without control characters, which a server could drive a terminal with."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def shape_text(shape: Iterable[int]) -> str:
    """[-1, 30]; -1 where the request chooses."""
    return f"[{', '.join(str(dim) for dim in shape)}]"


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
