"""A model's route, and the table of the core that does what it says."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from fastserve._core import core
from fastserve.errors import InvalidRoute
from fastserve.model_config import RoutingConfig
from fastserve.route_spec import Entry, RouteSpec


class Route(RouteSpec, frozen=True, kw_only=True):
    """What stands for `model`. `generation` counts its changes; the router gives it.

    Errors of making one: InvalidRoute, the field first.
    """

    model: str
    generation: Annotated[int, msgspec.Meta(ge=0)] = 0

    def table(self, *, fallback: int = 0, writers: int = 1) -> core.RouteTable:
        """`fallback`: where the route names none. Quick but for sticky keys: then milliseconds."""
        return core.RouteTable(
            [(entry.version, entry.weight) for entry in self.entries],
            rules=[(rule.header, rule.match, rule.value, rule.version) for rule in self.rules],
            sticky=self.sticky_key,
            generation=self.generation,
            seed=self.seed,
            fallback=self.fallback or fallback,
            writers=writers,
        )

    def with_weights(self, weights: Mapping[int, float], **changed: Any) -> "Route":
        """The same with other weights; a version that has none now leaves the route.

        A shadow that now has the greatest weight has come to its end: it leaves as well.
        """
        entries = tuple(Entry(version, weight) for version, weight in weights.items())
        route: Route = msgspec.structs.replace(self, entries=entries, shadow=None, **changed)
        if self.shadow is None or self.shadow.version == route.main:
            return route
        return msgspec.structs.replace(route, shadow=self.shadow)


def default_seed(model: str) -> int:
    """Of the model's name: the same user is not in the first arm of every experiment."""
    return int.from_bytes(hashlib.sha256(model.encode()).digest()[:8])


def configured_route(model: str, config: RoutingConfig) -> Route | None:
    """What model.toml's [routing] says; None when it says nothing."""
    spec = config.spec()
    if spec is None:
        return None
    fields = spec.spec_fields()
    if config.seed is None:
        fields["seed"] = default_seed(model)
    return Route(model=model, **fields)


def blue_green(model: str, live: int, idle: int, seed: int) -> Route:
    """Everything to `live`; `idle` (0: none) stays loaded, for going back in one step."""
    entries = [Entry(live, 1.0)]
    if idle and idle != live:
        entries.append(Entry(idle, 0.0))
    return Route(model=model, strategy="blue_green", entries=tuple(entries), seed=seed)


def switched(route: Route) -> Route:
    """The other colour. Errors: InvalidRoute when there is none."""
    idle = [entry.version for entry in route.entries if entry.weight == 0]
    if not idle:
        raise InvalidRoute(
            f"model {route.model!r} has no other version to go back to: its route names "
            f"{route.main} alone"
        )
    return route.with_weights({idle[0]: 1.0, route.main: 0.0})
