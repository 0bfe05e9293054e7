"""What strategies that move weights need of whoever keeps the routes."""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

# Weights that went through a division and back are the same.
_TOLERANCE: Final = 1e-9


class Weights(msgspec.Struct, frozen=True):
    """A model's route, as far as it matters here: the generation, and the share of each version.

    `shares` is empty where there is no route: the version that serves answers all requests.
    `is_bandit`: they move by themselves.
    """

    generation: int
    shares: Mapping[int, float]
    is_bandit: bool = False

    def says(self, shares: Mapping[int, float]) -> bool:
        """Whether requests are shared out like this. Those without requests may be left out."""
        return all(
            abs(self.shares.get(version, 0.0) - shares.get(version, 0.0)) <= _TOLERANCE
            for version in self.shares.keys() | shares.keys()
        )


class RouteKeeper(Protocol):
    """Routes with compare-and-set. Thread: the event loop's."""

    def weights(self, model: str) -> Weights:
        """As they are now; generation 0 where there has never been a route."""

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
        """The route with these weights; all else that it says stays. Durable when it returns.

        A new route's generation is larger by 1. Without `waits_for_disk` it holds though it cannot
        be made durable.

        Errors: StaleRouteTable when the route has another generation; InvalidRoute,
        VersionNotFound, VersionNotReady when it cannot be; the route is then as it was.
        """
