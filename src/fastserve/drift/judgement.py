"""From scores to alarms: when is a difference between a window and its profile worth a word?

Two questions decide, and either alone gives alarms that nobody reads.

*Is it certain?* Thirty features compared every five minutes are 8,640 comparisons a day. A
threshold on a score says nothing here: with 500 rows a PSI of 0.02 and a Kolmogorov-Smirnov
distance of 0.06 come by chance. So each feature is tested: numbers by Kolmogorov-Smirnov,
categories by chi-square, the share of missing values by the difference of two proportions. The
chances of one window are adjusted together (Holm), so that `significance`, 0.001, bounds the chance
of *any* false finding among all features of a window. Holm and not Benjamini-Hochberg: the latter
bounds the share of false names among many, which suits a list that is read; here one false name
wakes somebody up. Holm asks for no independence either, which features of one row do not have.

*Is it large?* With a million rows everything is certain, a change of a thousandth too. So one of
the feature's scores must also reach its threshold:

    score           raises  clears  what that is
    psi             0.2     0.1     the usual reading of "significant change"
    ks              0.07    0.05    a normal feature shifted by 0.18 of its standard deviation
    wasserstein     0.2     0.15    moved by a fifth of the reference's spread on the mean
    cramers_v       0.1     0.07    Cohen's "small" effect
    missing         0.05    0.025   five of a hundred rows more, or fewer, lack the value

PSI alone would be blind here: a quarter of a standard deviation, which costs many a model its
calibration, is a PSI of 0.06, far below 0.2. The same shift is a distance of 0.0995. Sampling moves
that by 0.014 (one standard deviation, 10,000 rows against 10,000) and each of the two sketches by
0.005, so 0.07 is reached in all but one of a hundred windows with such a shift; without one a
distance of 0.07 is six standard deviations off. tests/drift/test_judgement.py measures both.

The test's assumption is that rows are independent. Traffic is not: one user sends many rows, nights
differ from days. The effect size is what holds then, and `raise_windows`, the number of windows in
a row that must agree, is the means against the rest.

*Hysteresis.* A feature that hovers at a threshold would raise and clear at each window. It raises
where it is certain and large; it clears after `clear_windows` windows in a row in which every score
is below the lower threshold, or nothing speaks against chance (p = 1 after the correction, which is
what a feature of many rare values has for good); in between it stays what it was. A window with
fewer than `minimum_rows` says nothing, and changes nothing.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from fastserve._core import core
from fastserve.config import DriftSettings
from fastserve.drift.evidence import CountTable, categories_p, holm, kolmogorov_p, shares_p

# Score of the core -> the settings that judge it.
MEASURES: Final = {
    "psi": "psi",
    "kolmogorov_smirnov": "ks",
    "wasserstein": "wasserstein",
    "cramers_v": "cramers_v",
    "missing_change": "missing",
}
# As metrics and people name them.
SHORT_NAMES: Final = {
    "psi": "psi",
    "jensen_shannon": "js",
    "kolmogorov_smirnov": "ks",
    "wasserstein": "wasserstein",
    "cramers_v": "cramers_v",
    "missing_change": "missing_change",
}
CATEGORY: Final = "category"


class Finding(NamedTuple):
    """What one window says of one feature."""

    feature: int
    scores: core.FeatureScores
    # The measure that is furthest along to its threshold, and how far: 1 is at it.
    measure: str
    score: float
    threshold: float
    severity: float
    # After Holm's correction over the window.
    p_value: float
    # Certain and large.
    is_over: bool
    # Every score is below what clears, or may well be chance.
    is_under: bool


class Judge:
    """Holds windows against one profile. Thread: one at a time."""

    def __init__(
        self,
        rules: DriftSettings,
        features: Sequence[core.SketchFeature],
        reference: core.TableSketch,
    ) -> None:
        self._rules = rules
        self._features = features
        self._reference = reference
        self.reference = [reference.summary(index) for index in range(len(features))]

    def judge(self, live: core.TableSketch) -> list[Finding]:
        """One finding for each feature, in their order."""
        scores = live.scores(self._reference)
        chances: list[float] = []
        for index, feature in enumerate(self._features):
            now = live.summary(index)
            chances += _chances(feature.kind, scores[index], self.reference[index], now)
        adjusted = holm(chances)
        return [
            self._find(index, each, adjusted[2 * index], adjusted[2 * index + 1])
            for index, each in enumerate(scores)
        ]

    def _find(
        self, index: int, scores: core.FeatureScores, values_p: float, missing_p: float
    ) -> Finding:
        """`values_p` is about the values that are there, `missing_p` about those that are not."""
        leading, severity, certain, is_under = "", 0.0, 1.0, True
        is_over = False
        for measure, setting in MEASURES.items():
            score = abs(getattr(scores, measure))
            if math.isnan(score):
                continue
            chance = missing_p if measure == "missing_change" else values_p
            part = score / getattr(self._rules, f"{setting}_raise")
            is_certain = chance < self._rules.significance
            is_over = is_over or (is_certain and part >= 1)
            is_small = score < getattr(self._rules, f"{setting}_clear")
            is_under = is_under and (is_small or chance >= 1)
            # A certain measure leads one that is larger by chance alone.
            if (is_certain, part) > (certain < self._rules.significance, severity) or not leading:
                leading, severity, certain = measure, part, chance
        return Finding(
            feature=index,
            scores=scores,
            measure=SHORT_NAMES.get(leading, ""),
            score=getattr(scores, leading) if leading else math.nan,
            threshold=getattr(self._rules, f"{MEASURES[leading]}_raise") if leading else math.nan,
            severity=severity,
            p_value=certain,
            is_over=is_over,
            is_under=is_under,
        )


class Hysteresis:
    """Of each feature of a version: does its alarm stand? Thread: one at a time."""

    def __init__(self, rules: DriftSettings, feature_count: int) -> None:
        self._rules = rules
        self._over = [0] * feature_count
        self._under = [0] * feature_count
        self.is_raised = [False] * feature_count

    def take(self, findings: Sequence[Finding]) -> list[tuple[Finding, bool]]:
        """The findings whose alarm stands after them, or fell by them, and which of the two."""
        told: list[tuple[Finding, bool]] = []
        for finding in findings:
            at = finding.feature
            self._over[at] = self._over[at] + 1 if finding.is_over else 0
            self._under[at] = self._under[at] + 1 if finding.is_under else 0
            stood = self.is_raised[at]
            if self._over[at] >= self._rules.raise_windows:
                self.is_raised[at] = True
            elif self._under[at] >= self._rules.clear_windows:
                self.is_raised[at] = False
            if self.is_raised[at] or stood:
                told.append((finding, self.is_raised[at]))
        return told


def top(findings: Sequence[Finding], count: int) -> list[Finding]:
    """The `count` most severe, most severe first; all with 0."""
    ordered = sorted(
        findings, key=lambda each: (not each.is_over, each.p_value >= 1, -each.severity)
    )
    return ordered[:count] if count else ordered


def _chances(
    kind: str,
    scores: core.FeatureScores,
    reference: core.FeatureSummary,
    live: core.FeatureSummary,
) -> tuple[float, float]:
    """That values, and missing values, differ so much by chance; 1 where nothing was compared."""
    missing = shares_p(
        (reference.missing + reference.infinite, reference.count),
        (live.missing + live.infinite, live.count),
    )
    if kind == CATEGORY:
        return categories_p(_table(reference), _table(live)), missing
    distance = scores.kolmogorov_smirnov
    if math.isnan(distance):
        return 1.0, missing
    return kolmogorov_p(distance, _compared(reference), _compared(live)), missing


def _table(summary: core.FeatureSummary) -> CountTable:
    counts = {value: count for value, count, _ in summary.top}
    error = max((error for *_, error in summary.top), default=0)
    return CountTable(counts, error, _compared(summary))


def _compared(summary: core.FeatureSummary) -> int:
    """Values that have a place in a distribution."""
    return summary.count - summary.missing - summary.infinite
