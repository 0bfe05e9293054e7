"""A length of time on the command line: 300, 5m, 1h, 1d."""

import re
from typing import Final

import click

from fastserve.cli.screen import printable

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_length(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Seconds; nothing is 0. The callback of an option."""
    match = re.fullmatch(r"(\d{1,6})([smhd]?)", value or "0")
    if match is None:
        raise click.BadParameter(f"{printable(value)!r}: expected seconds, or 5m, 1h, 1d")
    return int(match[1]) * _UNITS[match[2]]
