"""Builds what moves and measures routes by their strategy: bandits, A/B tests.

No rule of the product lives here. Part of the composition root. Thread: the event loop's.
"""

import asyncio
import secrets
import time
from typing import Final

from fastserve._core import core
from fastserve.observe.logs import get_logger
from fastserve.routing.bandits import Bandits
from fastserve.routing.evidence import ArmSource
from fastserve.routing.experiments import Experiments
from fastserve.routing.reward import RewardStore
from fastserve.routing.rollout_controller import RolloutController
from fastserve.routing.router import Router
from fastserve.state_folder import StateFolder

_TICK_SECONDS: Final = 1.0

_log = get_logger("routing")


class StrategyHosting:
    """What looks at the routes of one server each second."""

    def __init__(
        self,
        router: Router,
        rollouts: RolloutController,
        source: ArmSource,
        state: StateFolder,
    ) -> None:
        """Errors: ArtifactCorrupt, Unsupported, OSError."""
        self.bandits = Bandits(
            router,
            source,
            RewardStore(state.path, _log_problem),
            has_rollout=rollouts.is_active,
            monotonic=time.monotonic,
            seed=secrets.randbits(64),
            on_problem=_log_problem,
        )
        self.experiments = Experiments(
            lambda: router.routes, source, bounds=core.BUCKET_BOUNDS_SECONDS, time=time.time
        )
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks from now on."""
        self._running = asyncio.create_task(self._run(), name="look at routes")

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.bandits.close()

    async def _run(self) -> None:
        while True:
            try:
                self.experiments.look()
                await self.bandits.tick()
            except Exception:  # noqa: BLE001 - the next look is in a second, and may go well
                _log.exception("routes were not looked at")
            await asyncio.sleep(_TICK_SECONDS)


def _log_problem(text: str) -> None:
    _log.warning("strategy", problem=text)
