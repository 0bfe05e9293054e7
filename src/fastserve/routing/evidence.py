"""What an arm, a version under a route, did: within one second, and minute by minute.

The core counts since a version was loaded. The judge wants what is new, so one look is taken from
the one after it. A version that is loaded again counts from nothing: a look that has less of
anything than the look before is such a beginning, and all of it is new.

Thread: the event loop's.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from fastserve.routing.sequential import ArmCount

if TYPE_CHECKING:
    from fastserve._core.core import TableSketch

# Failures that speak against a version. Not those of a caller who went away, nor of a server that
# does: cancelled, draining. A request that does not fit (invalid) counts, since a version may
# refuse what the other takes; callers who are wrong are wrong with both.
FAULTS: Final = ("execution", "invalid", "expired", "overloaded", "queue_full")
# Kept until both arms have a request, so that one a second can be compared at all.
MOST_POOLED_SECONDS: Final = 600


class ArmCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Of one version, as `core.Version.stats()`, those who join labels, and its shadow say.

    `answers` are requests that were answered; `failures` those that were not, by reason.
    `durations` are answers by bucket of `core.BUCKET_BOUNDS_SECONDS`, one more for the rest. All of
    these count since the version was loaded; `load` differs from load to load, where that is known.
    Labels, and rows that it answered as a shadow (`compared`, `mismatched` of them), count on.
    """

    load: int = 0
    answers: int = 0
    failures: Mapping[str, int] = {}
    durations: tuple[int, ...] = ()
    right_labels: int = 0
    wrong_labels: int = 0
    compared: int = 0
    mismatched: int = 0

    def since(self, before: "ArmCounters") -> "ArmCounters":
        """What is new in this look; all of it when the counting began again."""
        judged = {
            "right_labels": _grown(self.right_labels, before.right_labels),
            "wrong_labels": _grown(self.wrong_labels, before.wrong_labels),
            "compared": _grown(self.compared, before.compared),
            "mismatched": _grown(self.mismatched, before.mismatched),
        }
        if not self._goes_on_from(before):
            return msgspec.structs.replace(self, **judged)
        durations = before.durations or (0,) * len(self.durations)
        return ArmCounters(
            load=self.load,
            answers=self.answers - before.answers,
            failures={
                reason: count - before.failures.get(reason, 0)
                for reason, count in self.failures.items()
            },
            durations=tuple(new - old for new, old in zip(self.durations, durations, strict=True)),
            **judged,
        )

    def _goes_on_from(self, before: "ArmCounters") -> bool:
        is_other = before.durations and len(before.durations) != len(self.durations)
        if is_other or self.load != before.load:
            return False
        pairs = [
            (self.answers, before.answers),
            *zip(self.durations, before.durations, strict=False),
            *((self.failures.get(reason, 0), old) for reason, old in before.failures.items()),
        ]
        return all(new >= old for new, old in pairs)

    @property
    def faults(self) -> int:
        return sum(self.failures.get(reason, 0) for reason in FAULTS)

    @property
    def requests(self) -> int:
        """That ended in a way that says something about the version."""
        return self.answers + self.faults

    @property
    def errors(self) -> ArmCount:
        return ArmCount(self.requests, self.faults)

    @property
    def labels(self) -> ArmCount:
        """How many came, and how many of them say that the answer was wrong."""
        return ArmCount(self.right_labels + self.wrong_labels, self.wrong_labels)

    @property
    def shadowed(self) -> ArmCount:
        return ArmCount(self.compared, self.mismatched)


def _grown(now: int, before: int) -> int:
    """What is new of a count that goes on, or began again."""
    return now - before if now >= before else now


class Pair(msgspec.Struct, frozen=True):
    """Both arms over the same stretch of time."""

    candidate: ArmCounters
    baseline: ArmCounters


class Minute(msgspec.Struct, frozen=True):
    """The rows of one version in one minute. `start` is in seconds since the epoch.

    The sketch is that of the version's own watch: read it, do not add to it.
    """

    start: int
    sketch: "TableSketch"


class ArmSource(Protocol):
    """Where the judge looks. Implemented where the engine and the drift windows are at hand."""

    def counters(self, model: str, version: int) -> ArmCounters | None:
        """None while the version is not loaded."""

    def minutes(self, model: str, version: int, after: int) -> Sequence[Minute]:
        """Finished minutes that began after `after`, the oldest first; none without a watch."""


class PairReader:
    """Looks at both arms, and gives what is new since the look before."""

    def __init__(self, source: ArmSource, model: str, candidate: int, baseline: int) -> None:
        self._source = source
        self._model = model
        self._versions = (candidate, baseline)
        self._before: dict[int, ArmCounters] = {}

    def read(self) -> Pair | None:
        """None at the first look, and while either version is not loaded."""
        looks = [self._look(version) for version in self._versions]
        if looks[0] is None or looks[1] is None:
            return None
        return Pair(looks[0], looks[1])

    def _look(self, version: int) -> ArmCounters | None:
        now = self._source.counters(self._model, version)
        if now is None:
            # When it comes back it counts from nothing, perhaps past what it had.
            self._before.pop(version, None)
            return None
        before = self._before.get(version)
        self._before[version] = now
        return None if before is None else now.since(before)


class CountPool:
    """Puts seconds together until both arms have something: then they can be compared.

    So what one arm did in one hour is never held against what the other did in the next. When it
    ends depends on how many requests there were, never on how they went, so that a test
    may rely on it.
    """

    def __init__(self) -> None:
        self._counts = [0, 0, 0, 0]
        self._seconds = 0

    def add(self, candidate: ArmCount, baseline: ArmCount) -> tuple[ArmCount, ArmCount] | None:
        """Both, of all seconds since the last ones that it gave."""
        added = (candidate.requests, candidate.events, baseline.requests, baseline.events)
        self._counts = [old + new for old, new in zip(self._counts, added, strict=True)]
        self._seconds += 1
        requests, events, other_requests, other_events = self._counts
        if requests and other_requests:
            self._clear()
            return ArmCount(requests, events), ArmCount(other_requests, other_events)
        if self._seconds >= MOST_POOLED_SECONDS:
            self._clear()  # what is so far apart was not under the same conditions
        return None

    def _clear(self) -> None:
        self._counts = [0, 0, 0, 0]
        self._seconds = 0
