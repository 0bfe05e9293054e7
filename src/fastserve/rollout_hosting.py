"""Builds what moves rollouts: the controller over routes, counters, windows and labels.

No rule of the product lives here. Part of the composition root. Thread: the event loop's.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.models.catalog import Catalog
from fastserve.observe.audit import AuditEvent
from fastserve.observe.logs import get_logger
from fastserve.routing.evidence import ArmCounters, Minute
from fastserve.routing.rollout_controller import JUDGE, RolloutController
from fastserve.routing.rollout_record import Change, RolloutStore
from fastserve.routing.rollout_state import State
from fastserve.routing.routed_weights import RoutedWeights
from fastserve.routing.router import MODEL_FILE_AUTHOR, Router
from fastserve.routing.shadow import Shadows
from fastserve.state_folder import StateFolder
from fastserve.watching import Watching

# Actors that are no people.
_AUTOMATIC: Final = frozenset({JUDGE, MODEL_FILE_AUTHOR})

_log = get_logger("rollout")


class RolloutHosting:
    """Rollouts of one server."""

    def __init__(
        self,
        catalog: Catalog,
        router: Router,
        *,
        watching: Watching,
        shadows: Shadows,
        state: StateFolder,
        record: Callable[[AuditEvent], None],
    ) -> None:
        """`record` writes the audit log. Errors: ArtifactCorrupt, Unsupported, OSError."""
        self._record = record
        self._webhooks = watching.webhooks
        self.arms = _Arms(catalog, watching, shadows)
        self.controller = RolloutController(
            RoutedWeights(router, _AUTOMATIC),
            self.arms,
            RolloutStore(state.path),
            clock=_Clock(),
            bounds=core.BUCKET_BOUNDS_SECONDS,
            on_problem=_log_problem,
        )
        self.controller.listen(self._note)
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Judges from now on."""
        self._running = asyncio.create_task(self.controller.run(), name="judge rollouts")

    async def stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _note(self, change: Change) -> None:
        action = f"rollout.{change.after.value}"
        write = _log.warning if change.after is State.ROLLED_BACK else _log.info
        write(
            action,
            model=change.model,
            baseline=change.baseline,
            candidate=change.candidate,
            step=change.step + 1,
            weight=change.weight,
            by=change.actor,
            reason=change.reason,
        )
        facts = msgspec.to_builtins(change)
        self._record(
            AuditEvent(
                action=action,
                actor=change.actor,
                origin="automatic" if change.actor in _AUTOMATIC else "operator",
                model=change.model,
                version=change.candidate,
                before={"state": None if change.before is None else change.before.value},
                after=facts,
                reason=change.reason,
            )
        )
        self._webhooks.publish(action, facts)


class _Clock:
    """A fastserve.routing.rollout_controller.Clock."""

    monotonic: Final = staticmethod(time.monotonic)
    time: Final = staticmethod(time.time)
    sleep: Final = staticmethod(asyncio.sleep)


class _Arms:
    """What versions did (fastserve.routing.evidence.ArmSource)."""

    def __init__(self, catalog: Catalog, watching: Watching, shadows: Shadows) -> None:
        self._catalog = catalog
        self._shadows = shadows
        self._monitor = watching.monitor
        self._feedback = watching.feedback

    def counters(self, model: str, version: int) -> ArmCounters | None:
        found = self._catalog.get(model)
        record = None if found is None else found.versions.get(version)
        if record is None or record.loaded is None or not record.is_ready:
            return None
        stats = record.loaded.version.stats()
        compared, mismatched = self._shadows.rows(model, version)
        right, wrong = (0, 0) if self._feedback is None else self._feedback.judged(model, version)
        return ArmCounters(
            load=id(record.loaded),
            answers=stats.requests,
            failures=stats.failures,
            durations=tuple(stats.phases["total"][0]),
            right_labels=right,
            wrong_labels=wrong,
            compared=compared,
            mismatched=mismatched,
        )

    def minutes(self, model: str, version: int, after: int) -> Sequence[Minute]:
        for watch in self._monitor.watches:
            if (watch.version.model, watch.version.number) != (model, version):
                continue
            window = watch.ladder.closed(min(watch.ladder.lengths))
            if window is not None and window.start > after:
                return (Minute(int(window.start), window.sketch),)
        return ()


def _log_problem(text: str) -> None:
    _log.warning("rollout", problem=text)
