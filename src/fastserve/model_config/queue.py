"""`[batching]`, `[limits]` and `[queue]`: how requests wait and share a run."""

import re
from typing import Annotated, Final, Literal

import msgspec

from fastserve.config import (
    Rows,
)
from fastserve.errors import InvalidConfig, quoted
from fastserve.model_config.group import Group

# The longest that still fits the engine's nanoseconds by far: 31 years.
MAX_TIMEOUT_US: Final = 10**15
MAX_DELAY_US: Final = 10_000_000
# Each level costs every lane of the engine a pointer, and every insertion a step.
MAX_PRIORITY_LEVELS: Final = 1000
MAX_COUNT: Final = (1 << 32) - 1
Priority = Annotated[int, msgspec.Meta(ge=0, le=MAX_PRIORITY_LEVELS)]


class BatchingConfig(Group, frozen=True):
    """`[batching]`: whether and how requests share a run. `None` is decided by the server."""

    enabled: bool | None = None
    max_rows: Rows | None = None
    max_delay_us: Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY_US)] = 0


class QueueConfig(Group, frozen=True):
    """`[limits]`: this model's queue; 0 takes the server's own."""

    max_queue_rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_queue_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class QueuePolicy(Group, frozen=True):
    """How long requests wait, and how many may.

    A request that waited for `timeout_us` is refused, or delayed: it then runs after all that have
    not waited so long.
    """

    timeout_action: Literal["reject", "delay"] = "reject"
    # 0: none but the call's own deadline.
    timeout_us: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIMEOUT_US)] = 0
    # A request's `timeout` parameter may shorten it.
    allow_timeout_override: bool = False
    # 0: as many as `[limits]` admits.
    max_requests: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] = 0


class PriorityConfig(Group, frozen=True):
    """`[queue]`: levels of priority, 1 the most urgent, and a policy for each."""

    # 0: requests are in one queue, by arrival.
    priority_levels: Priority = 0
    # Of a request that names none, or one that is not there.
    default_priority: Priority = 0
    default: QueuePolicy = QueuePolicy()
    # By level; the others have `default`.
    levels: dict[str, QueuePolicy] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        most = self.priority_levels
        if not most:
            if self.default_priority or self.levels:
                name = "default_priority" if self.default_priority else "levels"
                raise InvalidConfig(f"{name}: means nothing while priority_levels is 0")
            return
        if not 1 <= self.default_priority <= most:
            raise InvalidConfig(
                f"default_priority: got {self.default_priority}, expected 1 to {most}, "
                "the number of priority_levels"
            )
        for name in self.levels:
            if not re.fullmatch(r"[1-9][0-9]{0,3}", name) or int(name) > most:
                raise InvalidConfig(
                    f"levels: {quoted(name)} is no level, expected 1 to {most}, "
                    "the number of priority_levels"
                )
