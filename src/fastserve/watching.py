"""Builds what watches the traffic: sketches and drift, labels, capture, alarms, webhooks.

No rule of the product lives here. Part of the composition root. Thread: the event loop's.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import msgspec

from fastserve.capturing import Capturing
from fastserve.config import Settings
from fastserve.drift.alarm import Alarm, AlarmBook
from fastserve.drift.feedback_segment_input import segment_input
from fastserve.drift.figures import DriftFigures, RowFigures
from fastserve.drift.monitor import DriftMonitor
from fastserve.drift.profile_store import ProfileStore
from fastserve.feedback_hosting import FeedbackHosting
from fastserve.metric_source import MetricSource
from fastserve.models.catalog import Catalog
from fastserve.models.loader import LoadedVersion
from fastserve.models.record import VersionRecord
from fastserve.models.state import State
from fastserve.observe.audit import AuditEvent
from fastserve.observe.closing import close_together
from fastserve.observe.logs import get_logger
from fastserve.observe.webhook import Webhooks
from fastserve.state_folder import StateFolder

_ACTOR: Final = "server"

_log = get_logger("watch")


class Watching:
    """What one server keeps of its traffic, and who is told when it changes."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        state: StateFolder,
        record: Callable[[AuditEvent], None],
    ) -> None:
        """`record` writes the audit log. Errors: InvalidConfig for the webhooks."""
        self._catalog = catalog
        self._record = record
        self.webhooks = Webhooks.open(settings.webhooks)
        self.alarms = AlarmBook(_log_problem)
        self.alarms.listen(self._note)
        self.alarms.listen(self._send)
        self.monitor = DriftMonitor(
            settings.drift, self.alarms, ProfileStore(state.path), _log_problem
        )
        self.capturing = Capturing(settings, catalog)
        self.feedback: FeedbackHosting | None = None
        if settings.feedback.enabled:
            self.feedback = FeedbackHosting(
                settings.feedback, catalog, self.alarms, self.capturing.keep_label
            )
        catalog.on_transition(self._follow)
        self._tasks: set[asyncio.Task[None]] = set()
        self._judging: asyncio.Task[None] | None = None

    def prepare(self, loaded: LoadedVersion) -> None:
        """Tells the engine what to keep of the version's traffic, before there is any.

        Errors: InvalidConfig and others for what could not be watched. Thread: a loader's.
        """
        plan = self.monitor.plan(loaded)
        contract = plan.contract.core_table()
        is_enforced = loaded.config.contract.enforce
        is_sketched = plan.rules.enabled or (contract and is_enforced)
        loaded.version.watch(
            plan.schema if is_sketched else None,
            contract=contract if is_sketched else (),
            is_enforced=is_enforced,
            predictions=None if self.feedback is None else self.feedback.store,
            segment=segment_input(
                loaded.config.feedback, [spec.name for spec in loaded.wire_inputs]
            ),
            captures=self.capturing.queue,
            capture_share=self.capturing.share(loaded),
        )

    def sources(self) -> Iterator[tuple[str, MetricSource]]:
        """For the metrics page, by name."""
        yield "rows", RowFigures(self.monitor)
        yield "drift", DriftFigures(self.monitor)
        if self.feedback is not None:
            yield from self.feedback.sources()
        yield "capture", self.capturing
        yield "webhooks", self.webhooks

    def start(self) -> None:
        """Judges windows and joins labels from now on."""
        self._judging = asyncio.create_task(self.monitor.run(), name="watch for drift")
        self._judging.add_done_callback(_log_end)
        if self.feedback is not None:
            self.feedback.start()

    async def stop(self) -> None:
        """Ends what runs, finishes files, tries once more to send what waits."""
        # A thread that looks at a thousand versions would hold the end up, and outlive the engine.
        await self.monitor.close()
        if self._judging is not None:
            self._judging.cancel()
            await asyncio.gather(self._judging, return_exceptions=True)
        if self.feedback is not None:
            await self.feedback.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        parts = {"capture": self.capturing.close, "webhooks": self.webhooks.close}
        await asyncio.to_thread(close_together, parts)

    def _follow(self, record: VersionRecord, before: State) -> None:
        if State.READY in (record.state, before):
            self._begin(self.monitor.follow(lambda: self._catalog.ready_versions))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, alarm: Alarm) -> None:
        action = "alarm.raise" if alarm.is_raised else "alarm.clear"
        write = _log.warning if alarm.is_raised else _log.info
        write(
            action,
            kind=alarm.kind,
            model=alarm.model,
            version=alarm.version,
            subject=alarm.subject,
            score=alarm.score,
            threshold=alarm.threshold,
            rows=alarm.window.rows,
        )
        self._record(
            AuditEvent(
                action=action,
                actor=_ACTOR,
                origin="automatic",
                model=alarm.model,
                version=alarm.version,
                after=msgspec.to_builtins(alarm),
                reason=f"{alarm.kind} of {alarm.subject}",
            )
        )

    def _send(self, alarm: Alarm) -> None:
        self.webhooks.publish(
            f"{alarm.kind}.{'raised' if alarm.is_raised else 'cleared'}",
            msgspec.to_builtins(alarm),
        )


def _log_problem(text: str) -> None:
    _log.warning("watch", problem=text)


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("drift is no longer judged", exc_info=task.exception())
