"""`[capture]`, `[feedback]`, `[features]`, `[drift]`, `[contract]`: what is kept of the traffic."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Annotated, Final, Literal

import msgspec

from fastserve.config import (
    Significance,
    Threshold,
    WindowCount,
    WindowSeconds,
)
from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config.group import Group

MAX_CLASSES: Final = 1000
MAX_SEGMENTS: Final = 64
# What labels measure; True where more is better.
QUALITY_MEASURES: Final[Mapping[str, bool]] = {
    "accuracy": True,
    "precision_macro": True,
    "recall_macro": True,
    "precision_positive": True,
    "recall_positive": True,
    "auc": True,
    "log_loss": False,
    "calibration_error": False,
    "mae": False,
    "rmse": False,
    "selection_rate_gap": False,
    "true_positive_rate_gap": False,
    "false_positive_rate_gap": False,
}


# Characters of a name for people.
MAX_LABEL: Final = 256
_MAX_CATEGORIES: Final = 10_000
_ELEMENT = re.compile(r"(?P<tensor>.+)\[(?P<element>[0-9]{1,9})\]", re.DOTALL)


class CaptureConfig(Group, frozen=True):
    """`[capture]`: which share of the requests is kept in files, and what of each is left out.

    A field is a tensor, by its name, or one element of its rows: `pixels[3]`.
    """

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    # Only these; empty: all of them.
    tensors: tuple[str, ...] = ()
    # Never written.
    drop: tuple[str, ...] = ()
    # Written as a keyed hash: equal values stay equal.
    hash: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.hash:
            if name in self.drop:
                raise InvalidConfig(f"hash: {quoted(name)} is in drop as well: keep one")

    def fields(self, tensors: Collection[str]) -> dict[str, dict[int, str]]:
        """By tensor what happens to it: {-1: "drop"} to all of it, {3: "drop"} to its element 3.

        Errors: InvalidConfig for a field that no tensor of `tensors` has: what was to be left out
        would be written.
        """
        found: dict[str, dict[int, str]] = {}
        for name in self.tensors:
            if name not in tensors:
                raise InvalidConfig(f"tensors: {_unknown(name, tensors)}")
        for action, names in (("drop", self.drop), ("hash", self.hash)):
            for name in names:
                tensor, element = _split_field(name, tensors)
                if element >= 0 and action == "hash":
                    raise InvalidConfig(f"hash: {quoted(name)}: expected a whole tensor's name")
                if tensor not in tensors:
                    raise InvalidConfig(f"{action}: {_unknown(name, tensors)}")
                found.setdefault(tensor, {})[element] = action
        for tensor in tensors:
            if self.tensors and tensor not in self.tensors:
                found.setdefault(tensor, {})[-1] = "drop"
        return found


class FeedbackConfig(Group, frozen=True):
    """`[feedback]`: what a label says about this model's answers, and when that is not good enough.

    With nothing said, the task is told by the outputs: a text, an integer or a boolean is a class,
    several floats a row are the probabilities of the classes, one float a row is a number.
    """

    task: Literal["auto", "classification", "regression"] = "auto"
    # The output that labels are held against; "": those that fit the task.
    output: str = ""
    # Names of the classes, in the order of the probabilities; (): 0, 1, 2, ...
    classes: Annotated[tuple[str | int, ...], msgspec.Meta(max_length=MAX_CLASSES)] = ()
    # The class whose precision, recall and AUC are told apart; None: the second of two.
    positive_class: str | int | None = None
    # From this score on an answer is the positive class, where the model gives a score alone.
    threshold: float = 0.5
    # The input, or feature `NAME[INDEX]`, whose values are told apart; "": none.
    segment: str = ""
    # Those values; (): as they come, up to the server's bound. All others are "other".
    segments: Annotated[tuple[str | int, ...], msgspec.Meta(max_length=MAX_SEGMENTS)] = ()
    # A window, or a segment of one, with fewer is not judged.
    minimum_labels: Annotated[int, msgspec.Meta(ge=1)] = 100
    # The window that is judged and shown.
    window_seconds: Literal[60, 300, 3600, 86400] = 3600
    # By measure: the worst value that raises no alarm.
    bounds: dict[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in (("classes", self.classes), ("segments", self.segments)):
            counts = Counter(str(value) for value in values)
            twice = [text for text, count in counts.items() if count > 1]
            if twice:
                raise InvalidConfig(f"{name}: has {quoted(twice[0])} twice")
        if len(self.classes) == 1:
            raise InvalidConfig("classes: has one class, expected at least two, or none at all")
        names = {str(value) for value in self.classes}
        if self.positive_class is not None and names and str(self.positive_class) not in names:
            raise InvalidConfig(
                f"positive_class: {quoted(str(self.positive_class))} is not among classes"
            )
        if not math.isfinite(self.threshold):
            raise InvalidConfig("threshold: expected a finite number")
        if self.segments and not self.segment:
            raise InvalidConfig("segments: needs segment, which names the input")
        for measure, bound in self.bounds.items():
            _check_bound(measure, bound, has_segment=bool(self.segment))


class FeatureConfig(Group, frozen=True):
    """`[features.NAME]`: what one feature of an input or output is, and what it may be."""

    # Of its values, for people: "mm", "EUR", "1/s".
    unit: Annotated[str, msgspec.Meta(max_length=64)] = ""
    # A name that people know better than `x[3]`.
    label: Annotated[str, msgspec.Meta(max_length=MAX_LABEL)] = ""
    min: float | None = None
    max: float | None = None
    categories: Annotated[tuple[str | int, ...], msgspec.Meta(max_length=_MAX_CATEGORIES)] = ()
    # Share of the rows that may lack it: NaN, or an empty text.
    missing: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and not math.isfinite(bound):
                raise InvalidConfig(f"{name}: expected a finite number; leave it out for none")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidConfig(f"min: {self.min:g} lies above max, {self.max:g}")
        if self.categories and (self.min is not None or self.max is not None):
            raise InvalidConfig("categories: excludes min and max: keep one")
        counts = Counter(str(value) for value in self.categories)
        twice = [text for text, count in counts.items() if count > 1]
        if twice:
            raise InvalidConfig(f"categories: has {quoted(twice[0])} twice")

    @property
    def has_rules(self) -> bool:
        bounds = (self.min, self.max, self.missing)
        return bool(self.categories) or any(bound is not None for bound in bounds)


class DriftConfig(Group, frozen=True):
    """`[drift]`: how this model's rows are watched. What is not named is as the server has it."""

    enabled: bool | None = None
    # The first so many live rows become the profile of a version that has none; 0: never.
    freeze_rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    window_seconds: WindowSeconds | None = None
    minimum_rows: Annotated[int, msgspec.Meta(ge=1)] | None = None
    significance: Significance | None = None
    psi_raise: Threshold | None = None
    psi_clear: Threshold | None = None
    ks_raise: Threshold | None = None
    ks_clear: Threshold | None = None
    wasserstein_raise: Threshold | None = None
    wasserstein_clear: Threshold | None = None
    cramers_v_raise: Threshold | None = None
    cramers_v_clear: Threshold | None = None
    missing_raise: Threshold | None = None
    missing_clear: Threshold | None = None
    raise_windows: WindowCount | None = None
    clear_windows: WindowCount | None = None


class ContractConfig(Group, frozen=True):
    """`[contract]`: what happens to a request that breaks a rule of `[features.NAME]`."""

    # Refused; else it is answered, and counted.
    enforce: bool = False


def _split_field(name: str, tensors: Collection[str]) -> tuple[str, int]:
    """Tensor and element; -1 for all of them. A tensor may itself be called `x[0]`."""
    match = _ELEMENT.fullmatch(name)
    if name in tensors or match is None:
        return name, -1
    return match["tensor"], int(match["element"])


def _unknown(name: str, tensors: Collection[str]) -> str:
    return (
        f"{quoted(name)} is no field of the model, expected one of "
        f"{', '.join(quoted(tensor) for tensor in sorted(tensors))}, or an element: 'NAME[3]'"
    )


def _check_bound(measure: str, bound: float, *, has_segment: bool) -> None:
    if measure not in QUALITY_MEASURES:
        known = ", ".join(QUALITY_MEASURES)
        raise InvalidConfig(f"bounds: {quoted(measure)} is no measure, expected one of {known}")
    if not math.isfinite(bound):
        raise InvalidConfig(f"bounds: {measure} is {bound}, expected a finite number")
    if measure.endswith("_gap") and not has_segment:
        raise InvalidConfig(f"bounds: {measure} needs segment, whose values it compares")
