"""What people and programs are shown of a version's drift: plain data, made while nothing changes.

Both histograms of a feature have the same bins, so that they can be laid over each other: of
numbers equal widths over what lies between the 1st and the 99th percentile of either side, with one
bin more at each end for the rest; of categories the most frequent of either side, the rest as one.
"""

import math
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.drift.alarm import Window
from fastserve.drift.contract import CATEGORY, unknown_feature
from fastserve.drift.judgement import SHORT_NAMES, Finding, top
from fastserve.drift.version_watch import VersionWatch
from fastserve.drift.windows import SeenWindow
from fastserve.errors import InvalidConfig, quoted

BINS: Final = 20
MOST_CATEGORIES: Final = 12
OTHER: Final = "(other)"
_TAIL: Final = 0.01


class Shape(msgspec.Struct, frozen=True):
    """One side of a feature. Shares are of the values that have a place in the bins."""

    count: int
    missing: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    distinct: float
    shares: tuple[float, ...] = ()


class FeatureView(msgspec.Struct, frozen=True):
    """One feature; without a profile there is neither finding nor reference."""

    name: str
    label: str
    unit: str
    kind: str
    is_input: bool
    finding: Finding | None
    # By short name; those that apply.
    scores: dict[str, float]
    has_alarm: bool
    history: tuple[float, ...]
    reference: Shape | None = None
    live: Shape | None = None
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()


class VersionView(msgspec.Struct, frozen=True):
    """One version at one moment."""

    watch: VersionWatch
    window: Window | None
    is_judged: bool
    features: tuple[FeatureView, ...]


class Wanted(msgspec.Struct, frozen=True):
    """What to show: `features`, or the `count` most severe (0: all), of which window."""

    features: tuple[str, ...] = ()
    count: int = 0
    window_seconds: int = 0
    has_histograms: bool = False


def view(watch: VersionWatch, wanted: Wanted) -> VersionView:
    """Errors: InvalidConfig for a feature or a window that is not there."""
    window, findings = _choose(watch, wanted.window_seconds)
    numbers = _numbers(watch, wanted, findings)
    by_number = {finding.feature: finding for finding in findings}
    return VersionView(
        watch=watch,
        window=None if window is None else Window(window.start, window.end, window.rows),
        is_judged=watch.verdict is not None and window is watch.verdict.window,
        features=tuple(
            _feature(watch, number, by_number.get(number), window, wanted.has_histograms)
            for number in numbers
        ),
    )


def number_edges(sides: Sequence[tuple[core.TableSketch, int]]) -> tuple[float, ...]:
    """Of bins that fit all `sides`, (sketch, feature); empty when none has a value."""
    lows, highs, tails = [], [], []
    for sketch, feature in sides:
        summary = sketch.summary(feature)
        if math.isfinite(summary.minimum):
            lows.append(summary.minimum)
            highs.append(summary.maximum)
            tails.append(sketch.quantiles(feature, (_TAIL, 1 - _TAIL)))
    if not lows:
        return ()
    low, high = min(lows), max(highs)
    if low == high:
        room = abs(low) / 2 or 0.5
        return (low - room, low + room)
    first, last = min(tail[0] for tail in tails), max(tail[1] for tail in tails)
    steps = BINS - 2
    inner = [first + (last - first) * step / steps for step in range(steps + 1)]
    return tuple(sorted({low, *inner, high}))


def _choose(watch: VersionWatch, seconds: int) -> tuple[SeenWindow | None, list[Finding]]:
    lengths = watch.ladder.lengths
    if seconds and seconds not in lengths:
        raise InvalidConfig(
            f"window {seconds} s is not kept, expected one of {', '.join(map(str, lengths))} s"
        )
    if not seconds and watch.verdict is not None:
        return watch.verdict.window, list(watch.verdict.findings)
    window = watch.ladder.recent(seconds or max(lengths))
    return window, [] if window is None else watch.compare(window)


def _numbers(watch: VersionWatch, wanted: Wanted, findings: list[Finding]) -> list[int]:
    if wanted.features:
        known = {feature.name: number for number, feature in enumerate(watch.features)}
        for name in wanted.features:
            if name not in known:
                raise InvalidConfig(
                    f"feature {quoted(name)} of {watch.name}: {unknown_feature(name, known)}"
                )
        return [known[name] for name in wanted.features]
    if findings:
        return [finding.feature for finding in top(findings, wanted.count)]
    return list(range(len(watch.features)))[: wanted.count or None]


def _feature(
    watch: VersionWatch,
    number: int,
    finding: Finding | None,
    window: SeenWindow | None,
    has_histograms: bool,
) -> FeatureView:
    feature = watch.features[number]
    facts = watch.contract.facts.get(number)
    shown = FeatureView(
        name=feature.name,
        label="" if facts is None else facts.label,
        unit="" if facts is None else facts.unit,
        kind=feature.kind,
        is_input=feature.is_input,
        finding=finding,
        scores={} if finding is None else _scores(finding.scores),
        has_alarm=watch.verdict is not None and watch.verdict.is_raised[number],
        history=tuple(entry.severities[number] for entry in watch.history),
    )
    sides = [
        None if watch.profile is None else watch.profile.sketch,
        None if window is None else window.sketch,
    ]
    if has_histograms and feature.kind == CATEGORY:
        return _with_categories(shown, number, sides)
    return _with_numbers(shown, number, sides, has_histograms)


def _with_numbers(
    shown: FeatureView, number: int, sides: list[core.TableSketch | None], has_histograms: bool
) -> FeatureView:
    present = [(sketch, number) for sketch in sides if sketch is not None]
    edges = number_edges(present) if has_histograms and shown.kind != CATEGORY else ()
    reference, live = (
        None
        if sketch is None
        else _shape(sketch.summary(number), sketch.histogram(number, edges) if edges else ())
        for sketch in sides
    )
    return msgspec.structs.replace(shown, reference=reference, live=live, edges=edges)


def _with_categories(
    shown: FeatureView, number: int, sides: list[core.TableSketch | None]
) -> FeatureView:
    summaries = [None if sketch is None else sketch.summary(number) for sketch in sides]
    totals: dict[str, float] = {}
    for summary in summaries:
        for value, share in _category_shares(summary).items():
            totals[value] = max(totals.get(value, 0.0), share)
    chosen = sorted(totals, key=lambda value: (-totals[value], value))[:MOST_CATEGORIES]
    has_rest = len(totals) > len(chosen) or any(
        sum(_category_shares(summary).values()) < 1 - 1e-9
        for summary in summaries
        if summary is not None and summary.top
    )
    shapes: list[Shape | None] = []
    for summary in summaries:
        if summary is None:
            shapes.append(None)
            continue
        shares = _category_shares(summary)
        listed = [shares.get(value, 0.0) for value in chosen]
        rest = [max(0.0, 1 - sum(listed))] if has_rest and summary.top else [0.0] * has_rest
        shapes.append(_shape(summary, [*listed, *rest]))
    categories = (*chosen, OTHER) if has_rest else tuple(chosen)
    return msgspec.structs.replace(
        shown, reference=shapes[0], live=shapes[1], categories=categories
    )


def _category_shares(summary: core.FeatureSummary | None) -> dict[str, float]:
    if summary is None:
        return {}
    values = summary.count - summary.missing
    return {value: count / values for value, count, _ in summary.top} if values else {}


def _shape(summary: core.FeatureSummary, shares: Collection[float]) -> Shape:
    return Shape(
        count=summary.count,
        missing=summary.missing,
        mean=summary.mean,
        deviation=summary.deviation,
        minimum=summary.minimum,
        maximum=summary.maximum,
        distinct=summary.distinct,
        shares=tuple(0.0 if math.isnan(share) else share for share in shares),
    )


def _scores(scores: core.FeatureScores) -> dict[str, float]:
    named = {short: getattr(scores, field) for field, short in SHORT_NAMES.items()}
    return {name: score for name, score in named.items() if not math.isnan(score)}
