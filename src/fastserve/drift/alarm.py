"""An alarm: something about a version is not as it should be, or is so again. Plain data.

Every part of the server that watches models speaks of its findings in this form, so that one list
shows them, one metric counts them and one channel sends them on.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["drift", "quality", "concept", "contract"]
Evidence: TypeAlias = dict[str, float | int | str]

# Changes that are kept for people who ask later.
MAX_RECENT: Final = 1000


class Window(msgspec.Struct, frozen=True):
    """A stretch of wall-clock time, in seconds since the epoch, and the rows that came in it."""

    start: float
    end: float
    rows: int


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Raised or cleared. `subject` is the feature, or the measure, that it is about."""

    kind: Kind
    model: str
    version: int
    subject: str
    is_raised: bool
    # The measure that decided, and the threshold that it was held against.
    score: float
    threshold: float
    window: Window
    # Which measure, how sure, what it was compared with: whatever helps whoever is woken up.
    evidence: Evidence = {}
    # When it was decided, seconds since the epoch.
    time: float

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What makes two alarms the same one at different times."""
        return (self.kind, self.model, self.version, self.subject)


Listener: TypeAlias = Callable[[Alarm], None]


class AlarmBook:
    """The alarms that stand, and the last changes. Thread: the event loop's.

    Listeners are told of each change once: an alarm that is raised again while it stands is kept up
    to date in silence, one that is cleared while it does not stand is nothing.
    """

    def __init__(self, on_problem: Callable[[str], None]) -> None:
        """`on_problem` is told, in one line, when a listener fails: the others are told anyway."""
        self._on_problem = on_problem
        self._standing: dict[tuple[str, str, int, str], Alarm] = {}
        self._recent: deque[Alarm] = deque(maxlen=MAX_RECENT)
        self._listeners: list[Listener] = []
        # By (model, kind): how often one was raised.
        self.raised: dict[tuple[str, str], int] = {}

    @property
    def standing(self) -> list[Alarm]:
        """As they were last judged, the oldest first."""
        return list(self._standing.values())

    @property
    def recent(self) -> list[Alarm]:
        """Raised and cleared, the oldest first; at most MAX_RECENT."""
        return list(self._recent)

    def stands(self, key: tuple[str, str, int, str]) -> bool:
        return key in self._standing

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls it at each change from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def report(self, alarm: Alarm) -> None:
        """Takes an alarm from whoever judged it."""
        stood = alarm.key in self._standing
        if alarm.is_raised:
            self._standing[alarm.key] = alarm
        else:
            self._standing.pop(alarm.key, None)
        if stood == alarm.is_raised:
            return
        if alarm.is_raised:
            name = (alarm.model, alarm.kind)
            self.raised[name] = self.raised.get(name, 0) + 1
        self._recent.append(alarm)
        for listener in tuple(self._listeners):
            try:
                listener(alarm)
            except Exception as error:  # noqa: BLE001 - a webhook's bug must not hide an alarm
                self._on_problem(f"a listener of alarms failed: {type(error).__name__}: {error}")

    def clear(
        self, model: str, version: int, why: str, now: float, kinds: Collection[Kind] = ()
    ) -> None:
        """Clears what stands of a version (of these kinds, or of all) for a reason of its own."""
        for alarm in self.standing:
            is_meant = (alarm.model, alarm.version) == (model, version)
            if is_meant and (not kinds or alarm.kind in kinds):
                self.report(
                    msgspec.structs.replace(
                        alarm,
                        is_raised=False,
                        evidence=alarm.evidence | {"cleared_by": why},
                        time=now,
                    )
                )
