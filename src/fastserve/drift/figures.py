"""What the metrics page shows of drift, contracts and alarms (fastserve.metric_source).

Thread: the event loop's.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple, Self

from fastserve.drift.judgement import SHORT_NAMES, Finding, top
from fastserve.drift.monitor import DriftMonitor
from fastserve.drift.version_watch import Verdict, VersionWatch
from fastserve.metric_source import MOST_SAMPLES, MetricFamily, Sample

_SCORES: Final = tuple(SHORT_NAMES.values())
_read_scores: Final = attrgetter(*SHORT_NAMES)
# Of all versions: with each one's scores and alarm they are within what the page takes.
_MOST_FEATURES: Final = MOST_SAMPLES // (len(SHORT_NAMES) + 2)


class RowFigures:
    """A MetricSource of what is counted all the time.

    Apart from the scores, of which there are many, and which change with a window.
    """

    def __init__(self, monitor: DriftMonitor) -> None:
        self._monitor = monitor

    @property
    def stamp(self) -> Hashable:
        rows = [watch.version.version.watch_stats() for watch in self._monitor.watches]
        return (
            self._monitor.changes,
            tuple((each.rows_sketched, each.rows_skipped, *each.violations) for each in rows),
        )

    def families(self) -> Iterator[MetricFamily]:
        watches = self._monitor.watches
        yield from _row_counters(watches)
        yield MetricFamily(
            "fastserve_contract_violations_total",
            "Rows that broke a rule of the data contract: inputs exactly, outputs at least",
            "counter",
            [
                (_labels(each) | {"feature": each.features[feature].name, "rule": rule}, rows)
                for each in watches
                for (feature, rule), rows in each.violated_rows.items()
            ],
        )


class DriftFigures:
    """A MetricSource of what windows were judged to be."""

    def __init__(self, monitor: DriftMonitor) -> None:
        self._monitor = monitor

    @property
    def stamp(self) -> Hashable:
        return self._monitor.changes

    def families(self) -> Iterator[MetricFamily]:
        watches = self._monitor.watches
        # Each taken once: a thread may be judging the next window.
        verdicts = [(each, verdict) for each in watches if (verdict := each.verdict) is not None]
        most = max(1, _MOST_FEATURES // max(1, len(verdicts)))
        shown = [_Shown.of(watch, verdict, most) for watch, verdict in verdicts]
        profiles = [(each, each.profile) for each in watches]
        yield _gauge(
            "fastserve_drift_profile_rows",
            "Rows of the reference profile; 0 when the version has none",
            [(_labels(each), 0 if kept is None else kept.rows) for each, kept in profiles],
        )
        yield _gauge(
            "fastserve_drift_window_rows",
            "Rows of the last window that was judged",
            [(_labels(each), verdict.window.rows) for each, verdict in verdicts],
        )
        yield _gauge(
            "fastserve_drift_score",
            "How far the last judged window is from the reference profile, by score",
            [sample for each in shown for sample in each.scores()],
        )
        yield _gauge(
            "fastserve_drift_alarm",
            "1 while the feature's alarm stands",
            [sample for each in shown for sample in each.standing()],
        )
        yield MetricFamily(
            "fastserve_alarms_total",
            "Alarms raised",
            "counter",
            [
                ({"model": model, "kind": kind}, count)
                for (model, kind), count in self._monitor.alarms.raised.items()
            ],
        )


def _row_counters(watches: list[VersionWatch]) -> Iterator[MetricFamily]:
    stats = [(_labels(each), each.version.version.watch_stats()) for each in watches]
    for name, text, field in (
        ("fastserve_sketch_rows_total", "Rows that sketches have seen", "rows_sketched"),
        (
            "fastserve_sketch_skipped_rows_total",
            "Rows that were served and not sketched, for want of time or memory",
            "rows_skipped",
        ),
    ):
        samples = [(labels, float(getattr(each, field))) for labels, each in stats]
        yield MetricFamily(name, text, "counter", samples)


class _Shown(NamedTuple):
    """A verdict's features that are shown, each by its labels."""

    verdict: Verdict
    features: list[tuple[dict[str, str], Finding]]

    @classmethod
    def of(cls, watch: VersionWatch, verdict: Verdict, most: int) -> Self:
        """The `most` most severe at most, in their order: lines that stay in place stay written."""
        count = min(watch.rules.metric_features, most)
        findings: Sequence[Finding] = verdict.findings
        if len(findings) > count:
            findings = sorted(top(findings, count), key=lambda each: each.feature)
        labels = _labels(watch)
        return cls(
            verdict,
            [({**labels, "feature": watch.features[each.feature].name}, each) for each in findings],
        )

    def scores(self) -> Iterator[Sample]:
        for labels, finding in self.features:
            for name, score in zip(_SCORES, _read_scores(finding.scores), strict=True):
                if not math.isnan(score):
                    yield {**labels, "score": name}, score

    def standing(self) -> Iterator[Sample]:
        for labels, finding in self.features:
            yield labels, float(self.verdict.is_raised[finding.feature])


def _labels(watch: VersionWatch) -> dict[str, str]:
    return {"model": watch.version.model, "version": str(watch.version.number)}


def _gauge(name: str, text: str, samples: list[Sample]) -> MetricFamily:
    return MetricFamily(name, text, "gauge", samples)
