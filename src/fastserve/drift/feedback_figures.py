"""What the metrics page shows of labels, live quality, concept drift and fairness.

Thread: the event loop's.
"""

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from fastserve._core import core
from fastserve.drift.feedback_label import OUTCOMES
from fastserve.drift.feedback_view import QualityView, view
from fastserve.metric_source import MetricFamily, Sample

if TYPE_CHECKING:  # numpy, which a server without labels does not need
    from fastserve.drift.feedback import Feedback
    from fastserve.drift.feedback_version import VersionQuality

# Field of the store's stats -> (metric, help).
_COUNTERS = {
    "kept": ("fastserve_feedback_predictions_total", "Predictions kept for a label to come"),
    "without_id": (
        "fastserve_feedback_predictions_without_id_total",
        "Predictions not kept since the request had no id",
    ),
    "too_large": (
        "fastserve_feedback_predictions_too_large_total",
        "Predictions whose outputs were too large to be kept",
    ),
    "replaced": (
        "fastserve_feedback_predictions_replaced_total",
        "Predictions replaced by a later one with the same request id",
    ),
    "evicted": (
        "fastserve_feedback_predictions_evicted_total",
        "Predictions that left for want of room",
    ),
    "expired": ("fastserve_feedback_predictions_expired_total", "Predictions that left for age"),
}
_GAUGES = {
    "records": (
        "fastserve_feedback_waiting_predictions",
        "Predictions that a label can be joined to",
    ),
    "bytes": ("fastserve_feedback_bytes", "Memory that they take"),
    "waiting": ("fastserve_feedback_waiting_labels", "Labels that wait for their prediction"),
}


class PredictionFigures:
    """A MetricSource of what is known without a single label.

    Apart from the labels: it changes with every prediction that is kept.
    """

    def __init__(self, store: core.PredictionStore) -> None:
        self._store = store

    @property
    def stamp(self) -> Hashable:
        return self._store.stats()

    def families(self) -> Iterator[MetricFamily]:
        stats = self._store.stats()
        for field, (name, text) in _COUNTERS.items():
            yield MetricFamily(name, text, "counter", [({}, float(getattr(stats, field)))])
        for field, (name, text) in _GAUGES.items():
            yield _gauge(name, text, [({}, float(getattr(stats, field)))])


class FeedbackFigures:
    """A MetricSource over the labels (fastserve.metric_source)."""

    def __init__(self, feedback: "Feedback") -> None:
        self._feedback = feedback

    @property
    def stamp(self) -> Hashable:
        return self._feedback.changes

    def families(self) -> Iterator[MetricFamily]:
        counts = self._feedback.counts
        models = sorted({model for model, _ in counts})
        yield MetricFamily(
            "fastserve_feedback_labels_total",
            "Labels by what became of them; an early one is counted again at its end",
            "counter",
            [
                ({"model": model, "outcome": outcome}, float(counts[model, outcome]))
                for model in models
                for outcome in OUTCOMES
            ],
        )
        yield MetricFamily(
            "fastserve_feedback_label_delay_seconds_total",
            "Time from requests to their labels, over all that were joined",
            "counter",
            [({"model": each.model}, each.delay_seconds) for each in self._feedback.models],
        )
        versions = [each for model in self._feedback.models for each in model.versions]
        views = [view(each) for each in versions]
        yield _gauge(
            "fastserve_quality",
            "Live quality by measure over the last closed window, or the first that still runs",
            [
                (_labels(each.quality) | {"segment": segment.name, "measure": measure}, value)
                for each in views
                for segment in each.segments
                for measure, value in segment.measures.items()
            ],
        )
        yield _gauge(
            "fastserve_quality_labels",
            "Labelled rows of that window",
            [
                (_labels(each.quality) | {"segment": segment.name}, float(segment.rows))
                for each in views
                for segment in each.segments
            ],
        )
        yield _gauge(
            "fastserve_quality_window_end_timestamp_seconds",
            "When that window ends, since the epoch",
            [(_labels(each.quality), each.window.end) for each in views if each.window is not None],
        )
        yield _gauge(
            "fastserve_concept_drift_alarm",
            "1 while the detector's alarm stands",
            [
                (_labels(each) | {"detector": detector}, float(change is not None))
                for each in versions
                for detector, change in each.concept.standing.items()
            ],
        )
        yield _gauge(
            "fastserve_fairness_gap",
            "Largest rate of any value of the segment minus the smallest, in that window",
            [sample for each in views for sample in _gaps(each)],
        )


def _gaps(shown: QualityView) -> Iterator[Sample]:
    quality = shown.quality
    for measure, gap in shown.gaps.items():
        yield _labels(quality) | {"segment": quality.config.segment, "measure": measure}, gap


def _labels(quality: "VersionQuality") -> dict[str, str]:
    return {"model": quality.model, "version": str(quality.version)}


def _gauge(name: str, text: str, samples: list[Sample]) -> MetricFamily:
    return MetricFamily(name, text, "gauge", samples)
