"""Where the catalog asks for routes; who answers is wired in the composition root.

Thread: the event loop's.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from fastserve._core import core
from fastserve.model_config import RoutingConfig


class RouteSource(Protocol):
    """Routes by model."""

    def table(self, model: str, serving: int, ready: Collection[int]) -> core.RouteTable | None:
        """Which of the model's versions answers a request that names none; None: `serving` does."""

    def named(self, model: str) -> Collection[int]:
        """Versions that its route names: they are not taken away."""

    def kept_versions(self, model: str) -> Collection[int]:
        """Those, and more that stay loaded for going back."""

    def shares(self, model: str) -> Mapping[int, float]:
        """By version its part of the requests; empty where the model has no route."""

    def configure(self, model: str, config: RoutingConfig) -> None:
        """The model's configuration was read."""


class NoRoutes:
    """Every model's requests go to the version that serves."""

    def table(self, _model: str, _serving: int, _ready: Collection[int]) -> None:
        return None

    def named(self, _model: str) -> Collection[int]:
        return ()

    def kept_versions(self, _model: str) -> Collection[int]:
        return ()

    def shares(self, _model: str) -> Mapping[int, float]:
        return {}

    def configure(self, _model: str, _config: RoutingConfig) -> None:
        pass
