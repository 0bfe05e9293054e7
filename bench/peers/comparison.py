"""What was measured of one peer beside fastserve, and the arithmetic on it."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from h2load import Load

TAILS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
# An open load was kept up when at least this share of it was answered in its time.
KEPT_UP = 0.95


def percentile(values: Sequence[int], share: float) -> float | None:
    """Returns the value that `share` of them stay within (nearest rank).

    None where the tail beyond it would hold less than one value: it was not measured then.
    """
    if len(values) * (1 - share) < 1 - 1e-9:
        return None
    return float(sorted(values)[math.ceil(share * len(values) - 1e-9) - 1])


@dataclass
class Paced:
    """One open load: what was offered, what was answered in each repeat, all answers' times."""

    offered_rps: int
    answered_rps: list[float] = field(default_factory=list)
    microseconds: list[int] = field(default_factory=list)

    def add(self, load: Load, edge: int) -> None:
        """Takes a run, without `edge` answers at either end: connections open and close there."""
        answers = sorted(zip(load.answered_at_us, load.microseconds, strict=True))[edge:-edge]
        seconds = (answers[-1][0] - answers[0][0]) / 1e6
        self.answered_rps.append((len(answers) - 1) / seconds)
        self.microseconds += [microseconds for _, microseconds in answers]

    def add_counts(self, answered_rps: float, counts: Sequence[tuple[float, int]]) -> None:
        """Takes a run whose milliseconds were counted by value."""
        self.answered_rps.append(answered_rps)
        for ms, count in counts:
            self.microseconds += [round(ms * 1000)] * count

    @property
    def is_kept_up(self) -> bool:
        """Tells whether the server answered as fast as it was asked."""
        return statistics.median(self.answered_rps) >= KEPT_UP * self.offered_rps

    def tails(self) -> dict[str, float | None]:
        """Returns milliseconds by percentile."""
        found = {name: percentile(self.microseconds, share) for name, share in TAILS.items()}
        return {name: None if us is None else us / 1000 for name, us in found.items()}


@dataclass
class Side:
    """One server's figures, an entry per repeat, and its open loads."""

    rps: list[float] = field(default_factory=list)
    rps_per_core: list[float] = field(default_factory=list)  # by the processor time it got
    start_seconds: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    paced: list[Paced] = field(default_factory=list)

    def record(self) -> dict[str, object]:
        """Returns it for a JSON file, the times as percentiles."""
        return {
            "rps": self.rps,
            "rps_per_core": self.rps_per_core,
            "start_seconds": self.start_seconds,
            "resident_mb": self.resident_mb,
            "paced": [
                {
                    "offered_rps": paced.offered_rps,
                    "answered_rps": paced.answered_rps,
                    "answers": len(paced.microseconds),
                    "ms": paced.tails(),
                }
                for paced in self.paced
            ],
        }


@dataclass
class Comparison:
    """One peer beside fastserve with one model; `reason` says why there are no figures."""

    peer: str
    model: str
    settings: str
    connections: int = 0
    in_flight: int = 0
    note: str = ""
    reason: str = ""
    theirs: Side = field(default_factory=Side)
    ours: Side = field(default_factory=Side)

    def record(self) -> dict[str, object]:
        """Returns it for a JSON file."""
        words = ("peer", "model", "settings", "connections", "in_flight", "note", "reason")
        record = {word: getattr(self, word) for word in words}
        return {**record, "theirs": self.theirs.record(), "ours": self.ours.record()}
