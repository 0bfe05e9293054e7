"""Labels that come back later, joined to their predictions: the live quality of every version.

    label -> sound? -> store of predictions -> judged -> windows, detectors -> alarms
                             not there yet -> waits, and is joined when the prediction comes

Nothing here is on the path of a request: predictions come into the store from the engine's
observer, labels from a caller that waits for its own answer alone. Every label has exactly one
outcome; one that waits (`early`) is counted again when it is joined or given up.

Thread: the event loop's.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from fastserve._core import core
from fastserve.config import FeedbackSettings
from fastserve.drift.feedback_judgement import Pair
from fastserve.drift.feedback_label import Label, LabelResult, Outcome, problem_of
from fastserve.drift.feedback_model import ModelFeedback
from fastserve.drift.quality_alarms import AlarmSink
from fastserve.drift.quality_windows import MINUTE
from fastserve.model_config import FeedbackConfig

# Of labels that wait, together; with more, no further one waits. 100 MB at most.
MAX_WAITING_VALUES: Final = 1_000_000

_JOINED: Final = LabelResult("joined")
_RESULTS: Final[dict[str, LabelResult]] = {
    "too_large": LabelResult(
        "unknown", "the prediction's outputs were larger than feedback.max_record_bytes"
    ),
    "late": LabelResult(
        "late", "the prediction was kept no longer: feedback.max_bytes, feedback.max_age_seconds"
    ),
    "waiting": LabelResult("early"),
    "unknown": LabelResult("unknown", "no prediction has this request id"),
    "duplicate": LabelResult("duplicate", "the prediction has its label, or one waits for it"),
}


class Clock(Protocol):
    """Wall-clock seconds, for windows; monotonic nanoseconds, for ages."""

    def time(self) -> float: ...
    def monotonic_ns(self) -> int: ...


class Feedback:
    """All models' labels."""

    def __init__(
        self,
        store: core.PredictionStore,
        settings: FeedbackSettings,
        config_of: Callable[[str], FeedbackConfig],
        alarms: AlarmSink,
        *,
        keep_label: Callable[[str, Label], None] = lambda _model, _label: None,
        clock: Clock = time,
    ) -> None:
        """`config_of`: of a model, as it is now. `keep_label`: told of each sound label, once."""
        self._store = store
        self._settings = settings
        self._config_of = config_of
        self._alarms = alarms
        self._keep_label = keep_label
        self._clock = clock
        self._models: dict[str, ModelFeedback] = {}
        self._waiting: dict[int, tuple[str, Label]] = {}
        self._waiting_values = 0
        # By (model, outcome).
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        # Differs when anything that is shown may differ.
        self.changes = 0
        # Of the last roll, counted from the epoch: windows end with a minute.
        self._minute = -1.0

    @property
    def models(self) -> list[ModelFeedback]:
        return list(self._models.values())

    def send(self, model: str, labels: Sequence[Label]) -> list[LabelResult]:
        """What became of each, in order. `model` is one that the caller knows to exist."""
        self.tick()
        self.changes += 1
        results = self._take(model, labels, may_wait=True)
        self.counts.update((model, result.outcome) for result in results)
        for label, result in zip(labels, results, strict=True):
            if result.outcome not in ("invalid", "duplicate"):
                self._keep_label(model, label)
        return results

    def tick(self) -> None:
        """Joins labels whose prediction has come, closes windows that are over. Often is fine."""
        arrived, expired = self._store.take_waited(now_ns=self._clock.monotonic_ns())
        for ticket in expired:
            model, _ = self._pop_waiting(ticket)
            self.counts[model, "unknown"] += 1
        by_model: dict[str, list[Label]] = {}
        for ticket in arrived:
            model, label = self._pop_waiting(ticket)
            by_model.setdefault(model, []).append(label)
        for model, labels in by_model.items():
            results = self._take(model, labels, may_wait=False)
            self.counts.update((model, result.outcome) for result in results)
        if arrived or expired:
            self.changes += 1
        now = self._clock.time()
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._roll(now)

    def forget(self, model: str) -> None:
        """The model is gone: its quality is no longer shown."""
        feedback = self._models.pop(model, None)
        if feedback is not None:
            feedback.clear("the model is gone", self._clock.time(), self._alarms)
        self.changes += 1

    def _roll(self, now: float) -> None:
        for feedback in self._models.values():
            for alarm in feedback.roll(now):
                self._alarms.report(alarm)
        self.changes += 1

    def _take(self, model: str, labels: Sequence[Label], *, may_wait: bool) -> list[LabelResult]:
        # Each row of a prediction takes a byte at least.
        most = self._settings.max_record_bytes
        now_ns = int(self._clock.time() * 1e9)
        results = [_first_look(label, most, now_ns) for label in labels]
        sound = [place for place, result in enumerate(results) if result.outcome == "joined"]
        joined = self._store.join(
            model,
            [labels[place].id for place in sound],
            may_wait=may_wait and self._waiting_values < MAX_WAITING_VALUES,
            now_ns=self._clock.monotonic_ns(),
        )
        pairs: list[Pair] = []
        for place, found in zip(sound, joined, strict=True):
            if found.prediction is not None:
                pairs.append(Pair(place, labels[place], found.prediction))
                continue
            if found.ticket:
                self._keep_waiting(found.ticket, model, labels[place])
            results[place] = _RESULTS[found.outcome]
        if pairs:
            problems = self._feedback_of(model).judge(pairs, self._clock.time(), self._alarms)
            for place, problem in problems.items():
                self._store.release(model, labels[place].id)
                results[place] = LabelResult("invalid", problem)
        return results

    def _keep_waiting(self, ticket: int, model: str, label: Label) -> None:
        # A copy: the values may be views into a message with a thousand labels.
        self._waiting[ticket] = (model, label._replace(values=tuple(label.values)))
        self._waiting_values += len(label.values)

    def _pop_waiting(self, ticket: int) -> tuple[str, Label]:
        model, label = self._waiting.pop(ticket)
        self._waiting_values -= len(label.values)
        return model, label

    def _feedback_of(self, model: str) -> ModelFeedback:
        config = self._config_of(model)
        feedback = self._models.get(model)
        if feedback is None or feedback.config != config:
            # Another question than before: what was answered so far does not count for it.
            if feedback is not None:
                feedback.clear("model.toml has changed", self._clock.time(), self._alarms)
            feedback = ModelFeedback(model, config, self._settings.max_segments)
            self._models[model] = feedback
        return feedback


def _first_look(label: Label, max_values: int, now_ns: int) -> LabelResult:
    problem = problem_of(label, max_values, now_ns)
    return LabelResult("invalid", problem) if problem else _JOINED
