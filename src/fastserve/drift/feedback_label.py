"""A label: what turned out to be true of one request's rows, and what became of it."""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

Value: TypeAlias = int | float | str
# What a label may come to; metric labels as well. `early`: it waits for its prediction.
Outcome: TypeAlias = Literal["joined", "early", "late", "unknown", "duplicate", "invalid"]
OUTCOMES: Final[tuple[Outcome, ...]] = (
    "joined", "early", "late", "unknown", "duplicate", "invalid",
)  # fmt: skip

MAX_ID_BYTES: Final = 1024
MAX_TEXT_CHARACTERS: Final = 256
# In 1973: seconds, milliseconds or microseconds since the epoch are earlier, taken as nanoseconds.
EARLIEST_NS: Final = 10**17
# A clock that is further ahead is wrong.
MAX_AHEAD_NS: Final = 86_400 * 10**9


class Label(NamedTuple):
    """`values`: one for each row of the request. `time_ns`: when it was known; 0: now.

    `problem`: what whoever carried it found wrong with it.
    """

    id: str
    values: Sequence[Value]
    time_ns: int = 0
    problem: str = ""


class LabelResult(NamedTuple):
    """`reason` is empty where the outcome says it all."""

    outcome: Outcome
    reason: str = ""


class InvalidLabel(ValueError):  # noqa: N818 - as fastserve.errors names its classes
    """A label that says nothing about its prediction; the message says why."""


def problem_of(label: Label, max_values: int, now_ns: int) -> str:
    """What is wrong with a label whatever its prediction; empty when nothing is.

    `max_values`: the most rows that any prediction that is kept can have. `now_ns`: since 1970.
    """
    if label.problem or not label.id:
        return label.problem or "has no request id"
    if len(label.id.encode()) > MAX_ID_BYTES:
        return f"its id has more than {MAX_ID_BYTES} bytes"
    if label.time_ns and not EARLIEST_NS <= label.time_ns <= now_ns + MAX_AHEAD_NS:
        return f"became known at {label.time_ns}: expected nanoseconds since the epoch, until now"
    if not label.values:
        return "has no value: expected one for each row of the request"
    if len(label.values) > max_values:
        return f"has {len(label.values)} values, no prediction that is kept has so many rows"
    problems = (
        f"row {row} {problem}"
        for row, value in enumerate(label.values)
        if (problem := _problem_of_value(value))
    )
    return next(problems, "")


def _problem_of_value(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value}: expected a number"
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        return f"has more than {MAX_TEXT_CHARACTERS} characters"
    return ""
