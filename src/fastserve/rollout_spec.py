"""A rollout as somebody declares it: which version, in which steps, under which guards.

    [routing.rollout]
    baseline = 1
    candidate = 2
    steps = [
        { weight = 0.01, min_requests = 200 },
        { weight = 0.1, min_requests = 2000, min_seconds = 300 },
        { weight = 0.5, min_requests = 5000, gate = true },
    ]

    [routing.rollout.guards.latency]
    max_ratio = 1.1

Everything has a default but the two versions. It is refused as a whole, with the key that is
wrong, before anything is moved. Here and not beside the controller, so that model.toml and a call
are held to the same rules.
"""

import difflib
import itertools
from typing import Annotated, Final, Literal

import msgspec

from fastserve.decoding import convert_plain
from fastserve.errors import InvalidConfig, quoted

MAX_STEPS: Final = 50
MAX_COUNT: Final = 10**12
# A year.
MAX_SECONDS: Final = 31_536_000
MAX_VERSION: Final = (1 << 63) - 1
MAX_QUANTILES: Final = 8

Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
Seconds = Annotated[float, msgspec.Meta(ge=1, le=MAX_SECONDS)]
# Of requests: nothing is a limit that no candidate keeps.
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Alpha = Annotated[float, msgspec.Meta(gt=1e-9, le=0.2)]


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table. Errors of making one: InvalidConfig, the key first."""


class Step(_Group, frozen=True):
    """The candidate gets `weight` of the requests, until the judge says pass."""

    weight: Share
    # Of the candidate, in this step.
    min_requests: Count = 1000
    min_seconds: Seconds = 60.0
    # After so long without a verdict, `on_expiry` of the rollout.
    max_seconds: Seconds = 86_400.0
    # After a pass somebody has to say that it goes on.
    gate: bool = False


class ErrorLimit(_Group, frozen=True):
    """Requests that fail, as a share: so much more than the baseline's."""

    enabled: bool = True
    max_increase: Share = 0.005


class LatencyLimit(_Group, frozen=True):
    """Quantiles of the whole time of a request, as a ratio to the baseline's."""

    enabled: bool = True
    max_ratio: Annotated[float, msgspec.Meta(gt=1, le=100)] = 1.25
    quantiles: Annotated[
        tuple[Annotated[float, msgspec.Meta(ge=0.01, le=0.9999)], ...],
        msgspec.Meta(min_length=1, max_length=MAX_QUANTILES),
    ] = (0.5, 0.95, 0.99)


class OutputLimit(_Group, frozen=True):
    """Each output's distribution: Kolmogorov-Smirnov distance to the baseline's."""

    enabled: bool = True
    max_distance: Share = 0.1


class LabelLimit(_Group, frozen=True):
    """Answers that labels say are wrong, as a share: so much more than the baseline's."""

    # Without labels it would hold for ever.
    enabled: bool = False
    max_increase: Share = 0.01


class ShadowLimit(_Group, frozen=True):
    """Rows that the candidate, as a shadow, answers otherwise than the live version."""

    # Without a shadow it would hold for ever.
    enabled: bool = False
    max_mismatches: Share = 0.01


class Guards(_Group, frozen=True):
    """What is watched."""

    errors: ErrorLimit = ErrorLimit()
    latency: LatencyLimit = LatencyLimit()
    outputs: OutputLimit = OutputLimit()
    labels: LabelLimit = LabelLimit()
    shadow: ShadowLimit = ShadowLimit()

    @property
    def count(self) -> int:
        """Comparisons that are made at once."""
        quantiles = len(self.latency.quantiles) if self.latency.enabled else 0
        others = (self.errors, self.outputs, self.labels, self.shadow)
        return quantiles + sum(each.enabled for each in others)


class Rollout(_Group, frozen=True):
    """From `baseline` to `candidate`, by `steps`.

    `alpha`: the chance that a candidate which is like the baseline is ever rolled back.
    `passing_alpha`: the chance that one step passes a candidate which a guard should stop.
    """

    baseline: Version
    candidate: Version
    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=MAX_STEPS)] = (
        Step(weight=0.05),
        Step(weight=0.25),
        Step(weight=0.5),
    )
    guards: Guards = Guards()
    alpha: Alpha = 0.05
    passing_alpha: Alpha = 0.05
    # After the last step; otherwise somebody says `promote`.
    auto_promote: bool = True
    on_expiry: Literal["pause", "rollback"] = "pause"
    # Everything is judged and kept, the route is left as it is.
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.baseline == self.candidate:
            raise InvalidConfig(f"candidate: is {self.candidate}, as is the baseline")
        weights = [step.weight for step in self.steps]
        for place, (before, weight) in enumerate(itertools.pairwise(weights), 2):
            if weight <= before:
                raise InvalidConfig(
                    f"steps: weight {weight:g} of step {place} is not above that of the step "
                    f"before, {before:g}"
                )
        for place, step in enumerate(self.steps, 1):
            if step.max_seconds <= step.min_seconds:
                raise InvalidConfig(
                    f"steps: max_seconds {step.max_seconds:g} of step {place} is not above its "
                    f"min_seconds, {step.min_seconds:g}"
                )
        if not self.guards.count:
            raise InvalidConfig("guards: none is enabled, so nothing could ever pass or fail")
        if len(set(self.guards.latency.quantiles)) < len(self.guards.latency.quantiles):
            raise InvalidConfig("guards.latency.quantiles: names one twice")


def read_rollout(value: object, *, name: str = "rollout") -> Rollout:
    """Plain values, as TOML and JSON give them, made a Rollout.

    Errors: InvalidConfig with `name`, the key, the got and the expected.
    """
    try:
        return convert_plain(value, Rollout)
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"{name}: {error}{_suggestion(str(error))}") from error


def _suggestion(message: str) -> str:
    """What an unknown key may have been meant to be."""
    if "unknown field" not in message:
        return ""
    got = message.partition("unknown field `")[2].partition("`")[0]
    groups = (Rollout, Step, Guards, ErrorLimit, LatencyLimit, OutputLimit, LabelLimit, ShadowLimit)
    known = {field for group in groups for field in group.__struct_fields__}
    near = difflib.get_close_matches(got, known, 1)
    return f"; {quoted(near[0])} is a key" if near else ""
