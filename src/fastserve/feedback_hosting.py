"""Builds what takes labels: store of predictions, feedback, its figures, and the look each second.

No rule of the product lives here. Part of the composition root.
"""

import asyncio
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fastserve._core import core
from fastserve.config import FeedbackSettings
from fastserve.drift.feedback_figures import FeedbackFigures, PredictionFigures
from fastserve.drift.feedback_label import Label, LabelResult, Outcome
from fastserve.drift.quality_alarms import AlarmSink
from fastserve.metric_source import MetricFamily, MetricSource
from fastserve.model_config import FeedbackConfig
from fastserve.models.catalog import Catalog
from fastserve.observe.logs import get_logger

if TYPE_CHECKING:
    from fastserve.drift.feedback import Feedback
    from fastserve.drift.feedback_model import ModelFeedback

_TICK_SECONDS: Final = 1.0
_KEY_BYTES: Final = 16

_log = get_logger("feedback")


class FeedbackHosting:
    """What takes labels in one server; a MetricSource of them. Thread: the event loop's.

    `store` is what the engine's observer puts predictions into. What judges labels needs numpy,
    which a server that gets none does not load: it is made when the first label comes.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        catalog: Catalog,
        alarms: AlarmSink,
        keep_label: Callable[[str, Label], None] = lambda _model, _label: None,
    ) -> None:
        """`keep_label` is told of each sound label and its model."""
        self._settings = settings
        self._catalog = catalog
        self._alarms = alarms
        self._keep_label = keep_label
        self.store = core.PredictionStore(
            max_bytes=settings.max_bytes,
            max_record_bytes=settings.max_record_bytes,
            max_age_ns=int(settings.max_age_seconds * 1e9),
            max_waiting=settings.max_waiting,
            max_wait_ns=int(settings.max_wait_seconds * 1e9),
            key=os.urandom(_KEY_BYTES),
        )
        self._feedback: Feedback | None = None
        self._ticking: asyncio.Task[None] | None = None

    @property
    def feedback(self) -> "Feedback":
        """Made now if it was not."""
        if self._feedback is None:
            from fastserve.drift.feedback import Feedback  # noqa: PLC0415 - loads numpy

            self._feedback = Feedback(
                self.store,
                self._settings,
                self._config_of,
                self._alarms,
                keep_label=self._keep_label,
            )
        return self._feedback

    def send(self, model: str, labels: Sequence[Label]) -> list[LabelResult]:
        """What became of each label, in order."""
        return self.feedback.send(model, labels)

    @property
    def models(self) -> "list[ModelFeedback]":
        """Those of which a label was joined."""
        return [] if self._feedback is None else self._feedback.models

    @property
    def counts(self) -> Mapping[tuple[str, Outcome], int]:
        """Labels by model and outcome, since the start."""
        return {} if self._feedback is None else self._feedback.counts

    def judged(self, model: str, version: int) -> tuple[int, int]:
        """Labels that say that the version was right, and wrong, since its first."""
        for each in self.models:
            for quality in each.versions if each.model == model else ():
                if quality.version == version:
                    return quality.labels - quality.wrong, quality.wrong
        return 0, 0

    def sources(self) -> Iterator[tuple[str, MetricSource]]:
        """For the metrics page, by name."""
        yield "predictions", PredictionFigures(self.store)
        yield "feedback", self

    @property
    def stamp(self) -> Hashable:
        return None if self._feedback is None else FeedbackFigures(self._feedback).stamp

    def families(self) -> Iterable[MetricFamily]:
        return () if self._feedback is None else FeedbackFigures(self._feedback).families()

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
            if self._feedback is None:
                continue
            try:
                self._feedback.tick()
                for each in self._feedback.models:
                    if self._catalog.get(each.model) is None:
                        self._feedback.forget(each.model)
            except Exception:  # noqa: BLE001 - the next look is in a second, and may go well
                _log.exception("labels were not looked after")

    def _config_of(self, model: str) -> FeedbackConfig:
        record = self._catalog.get(model)
        return FeedbackConfig() if record is None else record.config.feedback
