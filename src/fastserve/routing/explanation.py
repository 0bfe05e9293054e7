"""Why a request would get the version that it would get. Nothing is counted by asking."""

from collections.abc import Mapping

import msgspec

from fastserve.errors import InvalidRoute, quoted
from fastserve.routing.route import Route


class Share(msgspec.Struct, frozen=True):
    """Of an entry: its weight, the weight's part, and its part of all sticky keys."""

    version: int
    weight: float
    weight_share: float
    key_share: float  # as the weight's where the route has no sticky key


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`version` is 0 where no rule and no key decides: then requests are dealt by weight."""

    version: int
    reason: str  # rule, sticky, weight
    rule: int = -1  # which of the route's, from 0
    slot: int = -1  # of 65,536
    key: str = ""
    shares: tuple[Share, ...]


def explain(route: Route, *, key: str, headers: Mapping[str, str]) -> Explanation:
    """`key` is the sticky key's value; a header among `headers` may say it as well.

    Names of headers in any case. Errors: InvalidRoute for a key where the route has none.
    """
    given = {name.lower(): value for name, value in headers.items()}
    sticky = route.sticky_key
    if key and sticky is None:
        raise InvalidRoute(
            f"key: the route of model {quoted(route.model)} has no sticky key: requests are dealt "
            "by weight, whoever sends them"
        )
    parameters: list[tuple[str, str]] = []
    if sticky is not None and key:
        source, name = sticky
        if source == "header":
            given[name] = key
        else:
            parameters.append((name, key))
    if sticky is not None and sticky[0] == "header":
        key = given.get(sticky[1], "")
    table = route.table()
    version, reason, rule, slot = table.explain(list(given.items()), parameters)
    by_weight = route.weight_shares()
    shares = tuple(
        Share(entry.version, entry.weight, by_weight[entry.version], share)
        for entry, share in zip(route.entries, table.shares, strict=True)
    )
    return Explanation(version=version, reason=reason, rule=rule, slot=slot, key=key, shares=shares)
