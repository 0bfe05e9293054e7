"""The data contract: what the values of a feature may be, and what is said when they are not.

Rules come from `[features.NAME]` of model.toml and, key by key where that says nothing, from the
reference profile. A rule is range (min, max), category, or missing (the share of rows that may lack
the value).

Two places hold rows against it. The core has `core_table()`, feature numbers and bounds with
nothing to look up, when a version is loaded: it counts each row that it sketches, or, when the
contract is enforced, refuses the request. It holds inputs alone, and of missing values those of
which none is allowed. Everything else, outputs too, is seen in a window's summary, which knows
less:

* missing: exact, the count is kept;
* range: whether a bound was passed and how far (minimum and maximum are kept); an infinity passes
  every bound and is counted. By how many rows: at least one, the rest is estimated from ranks;
* category: exact for the categories that the sketch still holds; rare ones may have left it, so
  what is found is a lower bound.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple, TypeAlias

from fastserve._core import core
from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config import FeatureConfig

Rule: TypeAlias = Literal["range", "category", "missing"]
CATEGORY: Final = "category"
_SHOWN_CATEGORIES: Final = 8


class ContractRow(NamedTuple):
    """One rule of one feature, as the core takes it.

    range: `low` and `high`, infinite where there is no bound. category: `categories`, as the
    sketch writes values. missing: `high` is the share of a window's rows that may lack the value.
    """

    feature: int
    rule: Rule
    low: float
    high: float
    categories: tuple[str, ...]


class Violation(NamedTuple):
    """A rule that a window's rows broke."""

    row: ContractRow
    # Exact, or at least so many.
    rows: int
    is_exact: bool
    # Got and expected, for people.
    text: str


class Contract:
    """The rules of one version. Immutable; thread: any."""

    def __init__(
        self, features: Sequence[core.SketchFeature], rules: Mapping[str, FeatureConfig]
    ) -> None:
        """Errors: InvalidConfig for a feature that is not there, or a rule it cannot have."""
        self._features = tuple(features)
        numbers: dict[str, int] = {}
        for index, feature in enumerate(features):
            # An input goes before an output of the same name.
            numbers.setdefault(feature.name, index)
        rows: list[ContractRow] = []
        self.facts: dict[int, FeatureConfig] = {}
        for name, rule in rules.items():
            if name not in numbers:
                raise InvalidConfig(f"features.{name}: {unknown_feature(name, numbers)}")
            index = numbers[name]
            self.facts[index] = rule
            rows += _rows(index, features[index], rule)
        self._rows = tuple(sorted(rows, key=lambda row: (row.feature, row.rule)))

    def table(self) -> tuple[ContractRow, ...]:
        """By feature, then rule."""
        return self._rows

    def core_table(self) -> tuple[ContractRow, ...]:
        """The rules that the core holds itself."""
        return tuple(row for row in self._rows if self._is_of_core(row))

    def check(self, live: core.TableSketch, counted: Mapping[ContractRow, int]) -> list[Violation]:
        """What a window broke: `counted` by the core, the rest as its summaries show."""
        found: list[Violation | None] = []
        for row in self._rows:
            if row in counted:
                if counted[row]:
                    found.append(_counted(row, counted[row]))
                continue
            summary = live.summary(row.feature)
            if summary.count:
                found.append(self._check_row(row, live, summary))
        return [each for each in found if each is not None]

    def _is_of_core(self, row: ContractRow) -> bool:
        feature = self._features[row.feature]
        is_plain = feature.is_input and feature.kind in ("number", CATEGORY)
        return is_plain and (row.rule != "missing" or row.high == 0)

    def _check_row(
        self, row: ContractRow, live: core.TableSketch, summary: core.FeatureSummary
    ) -> Violation | None:
        if row.rule == "missing":
            share = summary.missing / summary.count
            if share <= row.high:
                return None
            text = f"{share:.2%} of the rows lack it, at most {row.high:.2%} may"
            return Violation(row, summary.missing, is_exact=True, text=text)
        if row.rule == "range":
            return _check_range(row, live, summary)
        strangers = [(value, count, error) for value, count, error in summary.top
                     if value not in row.categories and value]  # fmt: skip
        if not strangers:
            return None
        least = sum(max(1, count - error) for _, count, error in strangers)
        text = f"has {quoted(strangers[0][0])}, expected {_listed(row.categories)}"
        return Violation(row, least, is_exact=False, text=text)


def merged_rules(
    configured: Mapping[str, FeatureConfig], profiled: Mapping[str, FeatureConfig]
) -> dict[str, FeatureConfig]:
    """Those of model.toml over those of the profile, key by key."""
    merged = dict(profiled)
    for name, rule in configured.items():
        merged[name] = _over(rule, profiled[name]) if name in profiled else rule
    return merged


def _counted(row: ContractRow, rows: int) -> Violation:
    expected = {
        "missing": "expected no missing value",
        "range": f"expected {range_text(row.low, row.high)}",
        "category": f"expected {_listed(row.categories)}",
    }
    return Violation(row, rows, is_exact=True, text=expected[row.rule])


def range_text(low: float, high: float) -> str:
    """`0 to 1`, `at least 0`, `at most 1`."""
    if math.isinf(low):
        return f"at most {high:g}"
    return f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"


def _over(rule: FeatureConfig, below: FeatureConfig) -> FeatureConfig:
    has_range = rule.min is not None or rule.max is not None
    return FeatureConfig(
        unit=rule.unit or below.unit,
        label=rule.label or below.label,
        # Bounds go together: half of each would be nobody's range.
        min=rule.min if has_range or rule.categories else below.min,
        max=rule.max if has_range or rule.categories else below.max,
        categories=rule.categories if rule.categories or has_range else below.categories,
        missing=rule.missing if rule.missing is not None else below.missing,
    )


def _rows(index: int, feature: core.SketchFeature, rule: FeatureConfig) -> list[ContractRow]:
    is_category = feature.kind == CATEGORY
    if rule.categories and not is_category:
        raise InvalidConfig(
            f"features.{feature.name}: categories: the feature is a {feature.kind}, which has a "
            "min and a max"
        )
    if is_category and (rule.min is not None or rule.max is not None):
        raise InvalidConfig(
            f"features.{feature.name}: min and max: the feature is a category (integers, booleans "
            "and texts are), which has categories"
        )
    rows: list[ContractRow] = []
    if rule.min is not None or rule.max is not None:
        low = -math.inf if rule.min is None else rule.min
        high = math.inf if rule.max is None else rule.max
        rows.append(ContractRow(index, "range", low, high, ()))
    if rule.categories:
        texts = tuple(str(value) for value in rule.categories)
        rows.append(ContractRow(index, "category", -math.inf, math.inf, texts))
    if rule.missing is not None:
        rows.append(ContractRow(index, "missing", 0, rule.missing, ()))
    return rows


def _check_range(
    row: ContractRow, live: core.TableSketch, summary: core.FeatureSummary
) -> Violation | None:
    has_values = summary.count > summary.missing + summary.infinite
    low_is_broken = has_values and summary.minimum < row.low
    high_is_broken = has_values and summary.maximum > row.high
    if not (low_is_broken or high_is_broken or summary.infinite):
        return None
    finite = summary.count - summary.missing - summary.infinite
    outside = 0.0
    if low_is_broken:
        below = math.nextafter(row.low, -math.inf)  # a rank counts its own value
        outside += live.ranks(row.feature, [below])[0]
    if high_is_broken:
        outside += 1 - live.ranks(row.feature, [row.high])[0]
    rows = max(1, summary.infinite + int(outside * finite))
    if summary.infinite and not (low_is_broken or high_is_broken):
        got = "an infinity"
    else:
        got = f"{summary.minimum if low_is_broken else summary.maximum:g}"
    text = f"has {got}, expected {range_text(row.low, row.high)}"
    return Violation(row, rows, is_exact=False, text=text)


def _listed(categories: Sequence[str]) -> str:
    shown = ", ".join(map(quoted, categories[:_SHOWN_CATEGORIES]))
    rest = len(categories) - _SHOWN_CATEGORIES
    return f"one of {shown}" + (f" and {rest} more" if rest > 0 else "")


def unknown_feature(name: str, known: Iterable[str]) -> str:
    """For people: the nearest that exists, else those that do."""
    names = list(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.4)
    if nearest:
        return f"no such feature; did you mean {nearest[0]!r}?"
    return f"no such feature; the model has {_listed(names)}"
