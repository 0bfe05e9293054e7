"""What is known of live quality as messages of fastserve.v1.Feedback."""

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from fastserve._proto import fastserve_feedback_pb2 as pb
from fastserve.drift.feedback_label import OUTCOMES, Outcome
from fastserve.drift.feedback_view import QualityView

if TYPE_CHECKING:  # numpy, which a server without labels does not need
    from fastserve.drift.concept_adwin import Change
    from fastserve.drift.feedback_model import ModelFeedback


def model_message(
    model: str, counts: Mapping[tuple[str, Outcome], int], labelled: "ModelFeedback | None"
) -> pb.ModelQuality:
    """Without its versions. `labelled`: None when none of its labels was joined."""
    message = pb.ModelQuality(
        model=model, labels={outcome: counts.get((model, outcome), 0) for outcome in OUTCOMES}
    )
    if labelled is not None and labelled.joined:
        message.mean_delay_seconds = labelled.delay_seconds / labelled.joined
    return message


def version_message(shown: QualityView) -> pb.VersionQuality:
    """One version with its segments."""
    quality, window = shown.quality, shown.window
    message = pb.VersionQuality(
        version=quality.version,
        labelled_rows=quality.labels,
        is_over=shown.is_over,
        segments=[
            pb.SegmentQuality(name=each.name, rows=each.rows, measures=each.measures)
            for each in shown.segments
        ],
        gaps=shown.gaps,
        detectors=[_detector(*each) for each in quality.concept.standing.items()],
        minimum_labels=quality.config.minimum_labels,
        bounds=quality.config.bounds,
        history=_history(quality.history),
    )
    if window is not None:
        message.window_start, message.window_end = window.start, window.end
        message.window_seconds = round(window.end - window.start)
    return message


def _detector(name: str, change: "Change | None") -> pb.ConceptDetector:
    if change is None:
        return pb.ConceptDetector(name=name)
    return pb.ConceptDetector(
        name=name,
        has_alarm=True,
        mean_error_before=change.mean_before,
        mean_error_after=change.mean_after,
    )


def _history(windows: Collection[Mapping[str, float]]) -> list[pb.QualityHistory]:
    names = dict.fromkeys(name for window in windows for name in window)
    found = []
    for name in names:
        values = [window.get(name, math.nan) for window in windows]
        if not all(map(math.isnan, values)):
            found.append(pb.QualityHistory(measure=name, values=values))
    return found
