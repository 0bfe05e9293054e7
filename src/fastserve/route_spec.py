"""What a route says, apart from whose it is: weights, rules, sticky key, stand-in, shadow, bounds.

Here and not beside the router, so that model.toml and the router hold a route to the same rules.
Whether the versions exist is not known here.
"""

import math
import re
from typing import Annotated, Any, Final, Literal

import msgspec

from fastserve.errors import InvalidRoute, quoted

MAX_ENTRIES: Final = 64
MAX_RULES: Final = 64
MAX_TEXT: Final = 1024
MAX_VERSION: Final = (1 << 63) - 1
MAX_SEED: Final = (1 << 64) - 1
MAX_ARMS: Final = 16
# A year.
MAX_INTERVAL_SECONDS: Final = 31_536_000

Strategy = Literal["weights", "canary", "ab", "blue_green", "bandit"]
Match = Literal["equals", "prefix", "present"]
Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]

_HEADER: Final = re.compile(r"[a-z0-9._-]{1,256}")
_STICKY: Final = re.compile(r"(header|parameter):(.+)", re.DOTALL)
# Shares that went through a sum and a division are the same.
_TOLERANCE: Final = 1e-9


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version and its part of the sum of all weights."""

    version: Version
    weight: float


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests whose header matches get `version`. An empty header counts as absent."""

    header: str
    match: Match = "equals"
    value: str = ""
    version: Version

    @property
    def shown(self) -> str:
        """As people write it: `x-tenant=acme`, `x-tenant=ac*`, `x-tenant`."""
        if self.match == "present":
            return self.header
        return f"{self.header}={self.value}{'*' if self.match == 'prefix' else ''}"


class Shadow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate that gets a copy of a share of the requests; its answers go to nobody."""

    version: Version
    share: float


class Bandit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[routing.bandit]`: bounds of each version's share, and how often shares move at most."""

    min_share: float = 0.05
    max_share: float = 0.9
    interval_seconds: float = 300.0


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route of some model. Errors of making one: InvalidRoute, the field first.

    `weights` are fixed; `canary` is two versions, the second on trial; `ab` divides by a sticky
    key; `blue_green` sends everything to one of at most two versions and keeps the other loaded;
    `bandit` begins with these weights and moves them by the labels that come back.
    """

    strategy: Strategy = "weights"
    entries: tuple[Entry, ...]
    rules: tuple[Rule, ...] = ()
    # "header:NAME" or "parameter:NAME": requests with the same value get the same version.
    sticky: str = ""
    # Of the map from keys to versions: another seed deals all keys anew.
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    # Answers when the chosen version cannot; 0: the version that serves.
    fallback: Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)] = 0
    shadow: Shadow | None = None
    # None: those of `Bandit()`, where the strategy is one.
    bandit: Bandit | None = None

    def __post_init__(self) -> None:
        _check_entries(self.entries)
        _check_rules(self.rules)
        _check_sticky(self.sticky)
        if self.seed > MAX_SEED:
            raise InvalidRoute(f"seed: got {self.seed}, expected at most {MAX_SEED}")
        _check_strategy(self)
        _check_bandit(self)
        if self.shadow is not None:
            _check_shadow(self.shadow, self.entries)

    @property
    def versions(self) -> frozenset[int]:
        """All that the route names; they stay loaded."""
        found = {entry.version for entry in self.entries} | {rule.version for rule in self.rules}
        found |= {self.fallback} if self.fallback else set()
        return frozenset(found | ({self.shadow.version} if self.shadow is not None else set()))

    @property
    def sticky_key(self) -> tuple[str, str] | None:
        """("header" or "parameter", name)."""
        match = _STICKY.fullmatch(self.sticky)
        return None if match is None else (match[1], match[2])

    @property
    def headers(self) -> frozenset[str]:
        """Those that the route looks at."""
        key = self.sticky_key
        found = {rule.header for rule in self.rules}
        return frozenset(found | ({key[1]} if key is not None and key[0] == "header" else set()))

    @property
    def main(self) -> int:
        """The version with the greatest weight, the first of equals."""
        return _main(self.entries)

    def weight_shares(self) -> dict[int, float]:
        """By version the weight's part of the sum."""
        total = math.fsum(entry.weight for entry in self.entries)
        return {entry.version: entry.weight / total for entry in self.entries}

    def says(self, other: "RouteSpec") -> bool:
        """Whether both send requests alike, whatever model or number they have."""
        return all(getattr(self, name) == getattr(other, name) for name in SPEC_FIELDS)

    def spec_fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SPEC_FIELDS}


SPEC_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(RouteSpec))


def _main(entries: tuple[Entry, ...]) -> int:
    return max(entries, key=lambda entry: entry.weight).version


def _check_entries(entries: tuple[Entry, ...]) -> None:
    if not 1 <= len(entries) <= MAX_ENTRIES:
        raise InvalidRoute(f"weights: got {len(entries)} versions, expected 1 to {MAX_ENTRIES}")
    seen: set[int] = set()
    for entry in entries:
        if not 1 <= entry.version <= MAX_VERSION:
            raise InvalidRoute(f"weights: version {entry.version}, expected a positive number")
        if entry.version in seen:
            raise InvalidRoute(f"weights: version {entry.version} is there twice: keep one")
        if not math.isfinite(entry.weight) or entry.weight < 0:
            raise InvalidRoute(
                f"weights: version {entry.version} has {entry.weight:g}, expected a finite number "
                "of 0 or more"
            )
        seen.add(entry.version)
    try:
        total = math.fsum(entry.weight for entry in entries)
    except OverflowError:
        total = math.inf
    if not math.isfinite(total):
        raise InvalidRoute("weights: their sum is not finite: give smaller ones")
    if total <= 0:
        raise InvalidRoute("weights: all are 0, expected at least one above")


def _check_rules(rules: tuple[Rule, ...]) -> None:
    if len(rules) > MAX_RULES:
        raise InvalidRoute(f"rules: got {len(rules)}, expected at most {MAX_RULES}")
    for place, rule in enumerate(rules, 1):
        if not _HEADER.fullmatch(rule.header):
            raise InvalidRoute(f"rules: rule {place}: {_bad_header(rule.header)}")
        if not 1 <= rule.version <= MAX_VERSION:
            raise InvalidRoute(
                f"rules: rule {place}: version {rule.version}, expected a positive number"
            )
        if rule.match == "present":
            if rule.value:
                raise InvalidRoute(
                    f"rules: rule {place}: match present looks at no value, got "
                    f"{quoted(rule.value)}: leave it out, or match equals"
                )
        elif not rule.value:
            raise InvalidRoute(
                f"rules: rule {place}: match {rule.match} needs a value, which header "
                f"{quoted(rule.header)} is held against"
            )
        _check_text(f"rules: rule {place}: value", rule.value)


def _check_sticky(sticky: str) -> None:
    if not sticky:
        return
    match = _STICKY.fullmatch(sticky)
    if match is None:
        raise InvalidRoute(f"sticky: got {quoted(sticky)}, expected header:NAME or parameter:NAME")
    if match[1] == "header" and not _HEADER.fullmatch(match[2]):
        raise InvalidRoute(f"sticky: {_bad_header(match[2])}")
    _check_text("sticky: name", match[2])


def _check_strategy(spec: RouteSpec) -> None:
    weighted = [entry.version for entry in spec.entries if entry.weight > 0]
    if spec.strategy == "canary" and len(spec.entries) != 2:  # noqa: PLR2004 - old and new
        raise InvalidRoute(
            f"strategy: canary has two versions, the second on trial, got {len(spec.entries)}"
        )
    if spec.strategy == "ab":
        if not spec.sticky:
            raise InvalidRoute(
                "strategy: ab needs a sticky key, or the same caller would meet both arms"
            )
        if len(weighted) < 2 or len(weighted) != len(spec.entries):  # noqa: PLR2004 - A and B
            raise InvalidRoute(
                "strategy: ab needs at least two versions, each with a weight above 0"
            )
    if spec.strategy == "blue_green" and (len(spec.entries) > 2 or len(weighted) != 1):  # noqa: PLR2004
        raise InvalidRoute(
            f"strategy: blue_green sends everything to one of at most two versions, got "
            f"{len(spec.entries)} versions, {len(weighted)} with a weight above 0"
        )


def _check_bandit(spec: RouteSpec) -> None:
    if spec.strategy != "bandit":
        if spec.bandit is not None:
            raise InvalidRoute(f"bandit: goes with strategy bandit, got {spec.strategy}")
        return
    count, bounds = len(spec.entries), spec.bandit or Bandit()
    if not 2 <= count <= MAX_ARMS:  # noqa: PLR2004 - a champion and a challenger
        raise InvalidRoute(f"strategy: bandit needs 2 to {MAX_ARMS} versions, got {count}")
    _check_bounds(bounds, count)
    for version, share in spec.weight_shares().items():
        least, most = bounds.min_share, bounds.max_share
        if not least - _TOLERANCE <= share <= most + _TOLERANCE:
            raise InvalidRoute(
                f"weights: version {version} begins with {share:g} of the requests, expected "
                f"{least:g} to {most:g}, which are the bandit's min_share and max_share"
            )


def _check_bounds(bounds: Bandit, count: int) -> None:
    least, most = bounds.min_share, bounds.max_share
    if not 0 < least < 1:
        raise InvalidRoute(f"bandit.min_share: got {least:g}, expected above 0 and below 1")
    if not 0 < most <= 1:
        raise InvalidRoute(f"bandit.max_share: got {most:g}, expected above 0 and at most 1")
    if not 1 <= bounds.interval_seconds <= MAX_INTERVAL_SECONDS:
        raise InvalidRoute(
            f"bandit.interval_seconds: got {bounds.interval_seconds:g}, expected 1 to "
            f"{MAX_INTERVAL_SECONDS}"
        )
    if least * count > 1 + _TOLERANCE:
        raise InvalidRoute(f"bandit.min_share: {least:g} for each of {count} is more than all")
    if most * count < 1 - _TOLERANCE:
        raise InvalidRoute(f"bandit.max_share: {most:g} for each of {count} is less than all")


def _check_shadow(shadow: Shadow, entries: tuple[Entry, ...]) -> None:
    if not 1 <= shadow.version <= MAX_VERSION:
        raise InvalidRoute(f"shadow: version {shadow.version}, expected a positive number")
    if not (math.isfinite(shadow.share) and 0 < shadow.share <= 1):
        raise InvalidRoute(f"shadow: share {shadow.share:g}, expected more than 0 and at most 1")
    if shadow.version == _main(entries):
        raise InvalidRoute(
            f"shadow: version {shadow.version} has the greatest weight, and so is what a shadow is "
            "held against: expected another version"
        )


def _bad_header(name: str) -> str:
    return f"header {quoted(name)}, expected 1 to 256 lower-case letters, digits, '-', '_' and '.'"


def _check_text(what: str, text: str) -> None:
    # A header carries printable ASCII; another value would never match.
    if len(text) > MAX_TEXT or not text.isascii() or not text.isprintable():
        raise InvalidRoute(f"{what}: expected at most {MAX_TEXT} printable ASCII characters")
