"""What is shown of a version's live quality, wherever it is shown: one window, by segment.

Thread: the event loop's.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from fastserve.drift.quality_windows import ALL, LENGTHS, QualityWindow
from fastserve.errors import InvalidConfig

if TYPE_CHECKING:  # numpy, which a server without labels does not need
    from fastserve.drift.feedback_version import VersionQuality


class SegmentView(NamedTuple):
    """`measures`: those that its rows tell; none where they are fewer than `minimum_labels`."""

    name: str
    rows: int
    measures: dict[str, float]


class QualityView(NamedTuple):
    """One version at one moment. `window`: None before the first label.

    `segments` begin with that of all rows, which has its measures however few they are.
    """

    quality: "VersionQuality"
    window: QualityWindow | None
    is_over: bool
    segments: tuple[SegmentView, ...]
    gaps: dict[str, float]


def view(quality: "VersionQuality", length: int = 0) -> QualityView:
    """The last window of `length` seconds that is over, or the first one, which still runs.

    0: windows of the length that is judged. Errors: as `check_length`.
    """
    check_length(length)
    length = length or quality.config.window_seconds
    window = quality.windows.shown(length)
    if window is None:
        return QualityView(quality, None, is_over=False, segments=(), gaps={})
    least = quality.config.minimum_labels
    return QualityView(
        quality,
        window,
        is_over=window is quality.windows.closed(length),
        segments=tuple(
            SegmentView(
                name,
                sums.rows,
                known(sums.measures()) if name == ALL or sums.rows >= least else {},
            )
            for name, sums in window.sums.items()
        ),
        gaps=quality.gaps(window) if quality.config.segment else {},
    )


def check_length(length: int) -> None:
    """Errors: InvalidConfig for windows that are not kept, whether there is a label or not."""
    if length and length not in LENGTHS:
        raise InvalidConfig(
            f"window {length} s is not kept, expected one of {', '.join(map(str, LENGTHS))} s"
        )


def known(measures: Mapping[str, float]) -> dict[str, float]:
    """Without those that cannot be told."""
    return {name: value for name, value in measures.items() if not math.isnan(value)}
