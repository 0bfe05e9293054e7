"""Words of `fastserve route` on the command line: 2=10, x-tenant=acme:2, header:x-user."""

import math
import re
from typing import Any, Final

import click

from fastserve.cli.screen import printable

_WEIGHT: Final = re.compile(r"([0-9]{1,19})=(.+)")
_RULE: Final = re.compile(r"([^=:]+)(?:=(.*))?:([0-9]{1,19})", re.DOTALL)
_HEADER: Final = re.compile(r"([^=]+)=(.*)", re.DOTALL)


def read_weights(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> list[dict[str, Any]]:
    """VERSION=WEIGHT, each."""
    return [
        {"version": version, "weight": number} for version, number in map(_version_number, values)
    ]


def read_shadow(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> dict[str, Any] | None:
    """VERSION=SHARE."""
    if value is None:
        return None
    version, share = _version_number(value)
    return {"version": version, "share": share}


def read_rules(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> list[dict[str, Any]]:
    """HEADER=VALUE:VERSION; VALUE* matches what begins so; HEADER:VERSION any value."""
    return [_rule(value) for value in values]


def read_headers(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """HEADER=VALUE, each."""
    found = {}
    for value in values:
        match = _HEADER.fullmatch(value)
        if match is None:
            raise click.BadParameter(f"{printable(value)!r}: expected HEADER=VALUE")
        found[match[1]] = match[2]
    return found


def _version_number(value: str) -> tuple[int, float]:
    match = _WEIGHT.fullmatch(value)
    if match is not None:
        try:
            number = float(match[2])
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return int(match[1]), number
    raise click.BadParameter(f"{printable(value)!r}: expected VERSION=NUMBER, for example 2=10")


def _rule(value: str) -> dict[str, Any]:
    match = _RULE.fullmatch(value)
    if match is None:
        raise click.BadParameter(
            f"{printable(value)!r}: expected HEADER=VALUE:VERSION, HEADER=BEGINNING*:VERSION or "
            "HEADER:VERSION, for example x-tenant=acme:2"
        )
    rule: dict[str, Any] = {"header": match[1], "version": int(match[3])}
    if match[2] is None:
        return rule | {"match": "present"}
    if match[2].endswith("*"):
        return rule | {"match": "prefix", "value": match[2][:-1]}
    return rule | {"match": "equals", "value": match[2]}


def rule_text(rule: dict[str, Any]) -> str:
    """As it is written."""
    if rule["match"] == "present":
        return str(rule["header"])
    return f"{rule['header']}={rule['value']}{'*' if rule['match'] == 'prefix' else ''}"
