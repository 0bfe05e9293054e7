"""The routes' keeper as strategies that move weights know it, over the router."""

from collections.abc import Mapping
from typing import Any

from fastserve.route_spec import Entry
from fastserve.routing.route import Route, default_seed
from fastserve.routing.route_keeper import Weights
from fastserve.routing.router import Author, Router


class RoutedWeights:
    """A RouteKeeper: changes weights and leaves sticky keys, rules and the rest as they are.

    A route that a rollout moves is of the strategy `weights`, whatever it was before: the others
    are promises about their weights. A bandit's promise is that they move.

    Thread: the event loop's.
    """

    def __init__(
        self, router: Router, automatic: frozenset[str], *, keeps_strategy: bool = False
    ) -> None:
        """`automatic`: actors that are no people."""
        self._router = router
        self._automatic = automatic
        self._changed: dict[str, Any] = (
            {} if keeps_strategy else {"strategy": "weights", "bandit": None}
        )

    def weights(self, model: str) -> Weights:
        route = self._router.route(model)
        is_bandit = route is not None and route.strategy == "bandit"
        return Weights(self._router.generation(model), self._router.shares(model), is_bandit)

    async def set_weights(
        self,
        model: str,
        shares: Mapping[int, float],
        *,
        expected_generation: int,
        actor: str,
        reason: str,
        waits_for_disk: bool = True,
    ) -> Weights:
        """Errors: as `Router.set`."""
        standing = self._router.route(model)
        versions = () if standing is None else (entry.version for entry in standing.entries)
        # What gets nothing any more stays in the route, and so loaded: going back is one step.
        weights = dict.fromkeys(versions, 0.0) | dict(shares)
        if standing is None:
            entries = tuple(Entry(version, weight) for version, weight in weights.items())
            route = Route(model=model, entries=entries, seed=default_seed(model))
        else:
            route = standing.with_weights(weights, **self._changed)
        author = Author(actor, "automatic" if actor in self._automatic else "operator")
        done = await self._router.set(
            model,
            route,
            expected_generation,
            actor=author,
            reason=reason,
            waits_for_disk=waits_for_disk,
        )
        return Weights(done.generation, done.weight_shares())
