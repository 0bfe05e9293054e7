"""Builds what moves and measures routes by their strategy: bandits, A/B tests, declared rollouts.

No rule of the product lives here. Part of the composition root. Thread: the event loop's.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.errors import FastserveError
from fastserve.observe.audit import AuditEvent
from fastserve.observe.logs import get_logger
from fastserve.rollout_spec import Rollout
from fastserve.routing.bandits import Bandits
from fastserve.routing.declared_rollouts import DeclaredRollouts
from fastserve.routing.evidence import ArmSource
from fastserve.routing.experiments import Experiments
from fastserve.routing.reward import RewardStore
from fastserve.routing.rollout_controller import RolloutController
from fastserve.routing.router import MODEL_FILE_AUTHOR, Router
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
        record: Callable[[AuditEvent], None],
    ) -> None:
        """`record` writes the audit log. Errors: ArtifactCorrupt, Unsupported, OSError."""
        self._record = record
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
        self._declared = DeclaredRollouts(
            lambda: router.declared_rollouts,
            rollouts,
            source,
            state_folder=state.path,
            on_refusal=self._note_refusal,
            on_problem=_log_problem,
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
                await self._declared.tick()
            except Exception:  # noqa: BLE001 - the next look is in a second, and may go well
                _log.exception("routes were not looked at")
            await asyncio.sleep(_TICK_SECONDS)

    def _note_refusal(self, model: str, rollout: Rollout, error: FastserveError) -> None:
        _log.error("rollout of model.toml refused", model=model, reason=error.message)
        self._record(
            AuditEvent(
                action="rollout.start",
                actor=MODEL_FILE_AUTHOR,
                origin="automatic",
                model=model,
                version=rollout.candidate,
                after=msgspec.to_builtins(rollout),
                reason=error.message,
                outcome="refused",
            )
        )


def _log_problem(text: str) -> None:
    _log.warning("strategy", problem=text)
