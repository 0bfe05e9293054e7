"""An A/B test's results: what each arm did, and how far it is from the first one. No decision.

Intervals hold at all moments at once (routing/sequential.py), so whoever looks every day and stops
when he likes what he sees is not fooled by that. They are for each figure by itself: of twenty
figures one leaves its 95 % interval sooner or later.

Thread: the event loop's.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from fastserve.errors import InvalidRoute
from fastserve.routing.evidence import ArmCounters, ArmSource, CountPool
from fastserve.routing.guard import known
from fastserve.routing.histogram import DurationHistogram
from fastserve.routing.sequential import ArmCount, Interval, RateInterval

ALPHA: Final = 0.05
_QUANTILES: Final = (0.5, 0.95, 0.99)


class Rate(msgspec.Struct, frozen=True):
    """A share of events. `difference` is to the first arm: None there, and while too little is."""

    count: int
    events: int
    rate: float | None
    difference: Interval | None


class ArmResult(msgspec.Struct, frozen=True):
    """Of one arm since the experiment began. `latency` in seconds, by quantile."""

    version: int
    errors: Rate
    wrong_labels: Rate
    latency: dict[float, float | None]


class _Comparison:
    """Of one kind of event between an arm and the first."""

    def __init__(self) -> None:
        self._pool = CountPool()
        self._interval = RateInterval()
        self._count = [0, 0]

    def add(self, arm: ArmCount, first: ArmCount) -> None:
        self._count[0] += arm.requests
        self._count[1] += arm.events
        pooled = self._pool.add(arm, first)
        if pooled is not None:
            self._interval.add(*pooled)

    def rate(self, *, is_first: bool) -> Rate:
        count, events = self._count
        return Rate(
            count,
            events,
            known(events / count if count else math.nan),
            None if is_first else self._interval.interval(ALPHA),
        )


class Experiment:
    """Call `look` once a second."""

    def __init__(
        self, source: ArmSource, model: str, versions: Sequence[int], bounds: Sequence[float]
    ) -> None:
        """`versions`: the first is what the others are compared with. Errors: InvalidRoute."""
        if not versions or len(set(versions)) < len(versions):
            raise InvalidRoute(f"arms: expected different versions, got {list(versions)}")
        self._source = source
        self._model = model
        self._versions = tuple(versions)
        self._looks: dict[int, ArmCounters] = {}
        self._errors = {version: _Comparison() for version in versions}
        self._labels = {version: _Comparison() for version in versions}
        self._durations = {version: DurationHistogram(bounds) for version in versions}

    def look(self) -> None:
        """Takes what is new. A second in which an arm is not loaded is none of its own."""
        new = {version: self._new(version) for version in self._versions}
        first = new[self._versions[0]]
        for version, counters in new.items():
            self._durations[version].add(counters.durations)
            self._errors[version].add(counters.errors, first.errors)
            self._labels[version].add(counters.labels, first.labels)

    def results(self) -> list[ArmResult]:
        return [
            ArmResult(
                version,
                self._errors[version].rate(is_first=version == self._versions[0]),
                self._labels[version].rate(is_first=version == self._versions[0]),
                {
                    quantile: known(self._durations[version].quantile_beyond(1 - quantile))
                    for quantile in _QUANTILES
                },
            )
            for version in self._versions
        ]

    def _new(self, version: int) -> ArmCounters:
        look = self._source.counters(self._model, version)
        before = self._looks.pop(version, None)
        if look is None:
            return ArmCounters()
        self._looks[version] = look
        return ArmCounters() if before is None else look.since(before)
