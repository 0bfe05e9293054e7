"""Rules that the rows of a profile keep to: a first contract for whoever has none.

Only rules that hold for every row are made: the range of a number, the values of a category that
has few, and no missing values where none was. What is configured already is left as it is.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.drift.contract import CATEGORY
from fastserve.model_config import FeatureConfig

# A column with more values is no enumeration.
MOST_CATEGORIES: Final = 50


def rules_of(
    sketch: core.TableSketch, known: Mapping[str, FeatureConfig]
) -> dict[str, FeatureConfig]:
    """`known` with the rules that the sketch's inputs keep to. Outputs get none."""
    found = dict(known)
    for index, feature in enumerate(sketch.schema.features):
        if feature.is_input:
            rule = known.get(feature.name, FeatureConfig())
            rule = _with_rules(rule, feature.kind, sketch.summary(index))
            if rule != FeatureConfig():
                found[feature.name] = rule
    return found


def _with_rules(rule: FeatureConfig, kind: str, summary: core.FeatureSummary) -> FeatureConfig:
    made: dict[str, object] = {}
    if rule.missing is None and summary.count and not summary.missing:
        made["missing"] = 0.0
    has_range = rule.min is not None or rule.max is not None or bool(rule.categories)
    if kind == CATEGORY:
        is_exact = all(error == 0 for *_, error in summary.top)
        if not has_range and is_exact and 0 < len(summary.top) <= MOST_CATEGORIES:
            made["categories"] = tuple(sorted(value for value, *_ in summary.top))
    elif not has_range and math.isfinite(summary.minimum) and math.isfinite(summary.maximum):
        made |= {"min": summary.minimum, "max": summary.maximum}
    return msgspec.structs.replace(rule, **made)
