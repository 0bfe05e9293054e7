"""Do the values of a segment fare alike? Gaps between groups, from the groups' own counts.

Three gaps, each the largest rate of any group minus the smallest:

* selection rate: the share of rows that get the positive answer (demographic parity);
* true-positive rate: the share of truly positive rows that get it (equal opportunity);
* false-positive rate: the share of truly negative rows that get it. This one and the last together
  are equalised odds (Hardt, Price & Srebro, "Equality of Opportunity in Supervised Learning",
  NIPS 2016).

A group with few rows has a gap from chance alone: of two groups alike with n rows each the gap of a
rate near one half is 0.56 / sqrt(n) on average. So only groups with `minimum` rows count, and with
fewer than two of them there is no gap.
"""

from collections.abc import Mapping
from typing import Final

from fastserve.drift.quality_classification import ClassificationSums

# Measure -> field of Rates.
GAPS: Final = {
    "selection_rate_gap": "selection_rate",
    "true_positive_rate_gap": "true_positive_rate",
    "false_positive_rate_gap": "false_positive_rate",
}


def gaps(groups: Mapping[str, ClassificationSums], minimum: int) -> dict[str, float]:
    """By measure; without those that cannot be told. A NaN rate (no positive row) is left out."""
    rates = [sums.rates() for sums in groups.values() if sums.rows >= minimum]
    found: dict[str, float] = {}
    for measure, field in GAPS.items():
        values = [getattr(each, field) for each in rates]
        known = [value for value in values if value == value]  # noqa: PLR0124 - NaN differs
        if len(known) > 1:
            found[measure] = max(known) - min(known)
    return found
