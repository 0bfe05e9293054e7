"""Builds what takes labels: store of predictions, feedback, its figures, and the look each second.

No rule of the product lives here. Part of the composition root.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from fastserve._core import core
from fastserve.config import FeedbackSettings
from fastserve.drift.feedback import Feedback
from fastserve.drift.feedback_figures import FeedbackFigures
from fastserve.drift.feedback_label import Label
from fastserve.drift.quality_alarms import AlarmSink
from fastserve.model_config import FeedbackConfig
from fastserve.models.catalog import Catalog
from fastserve.observe.logs import get_logger

_TICK_SECONDS: Final = 1.0
_KEY_BYTES: Final = 16

_log = get_logger("feedback")


class FeedbackHosting:
    """What takes labels in one server. Thread: the event loop's.

    `store` is what the engine's observer puts predictions into.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        catalog: Catalog,
        alarms: AlarmSink,
        keep_label: Callable[[str, Label], None],
    ) -> None:
        """`keep_label` is told of each sound label and its model."""
        self._catalog = catalog
        self.store = core.PredictionStore(
            max_bytes=settings.max_bytes,
            max_record_bytes=settings.max_record_bytes,
            max_age_ns=int(settings.max_age_seconds * 1e9),
            max_waiting=settings.max_waiting,
            max_wait_ns=int(settings.max_wait_seconds * 1e9),
            key=os.urandom(_KEY_BYTES),
        )
        self.feedback = Feedback(
            self.store, settings, self._config_of, alarms, keep_label=keep_label
        )
        self.figures = FeedbackFigures(self.feedback)
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks each second for labels that can be joined and windows that are over."""
        self._ticking = asyncio.get_running_loop().create_task(
            self._tick(), name="look after labels"
        )

    async def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                self.feedback.tick()
                for each in self.feedback.models:
                    if self._catalog.get(each.model) is None:
                        self.feedback.forget(each.model)
            except Exception:  # noqa: BLE001 - the next look is in a second, and may go well
                _log.exception("labels were not looked after")

    def _config_of(self, model: str) -> FeedbackConfig:
        record = self._catalog.get(model)
        return FeedbackConfig() if record is None else record.config.feedback
