"""`max_batch_size`, `dynamic_batching` and `version_policy` of a ModelConfig, in our groups.

Where `dynamic_batching` is missing, fastserve's own decision about batching stays: graph and probe
say whether requests may share a run (docs/batching.md).
"""

from typing import Final

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.model_config import (
    MAX_COUNT,
    MAX_DELAY_US,
    MAX_PRIORITY_LEVELS,
    MAX_TIMEOUT_US,
    MAX_VERSION,
    BatchingConfig,
    PriorityConfig,
    QueuePolicy,
    VersionsConfig,
)
from fastserve.models.triton_lines import FieldPath, Key
from fastserve.models.triton_reading import Reading

_MAX_ROWS: Final = 1 << 20
_DYNAMIC: Final = "dynamic_batching"


def read_batching(reading: Reading) -> tuple[BatchingConfig, int | None]:
    """`[batching]`, and the most rows of one request. Errors: InvalidConfig."""
    message = reading.message
    most = reading.whole(("max_batch_size",), message.max_batch_size, least=0, most=_MAX_ROWS)
    delay = reading.whole(
        (_DYNAMIC, "max_queue_delay_microseconds"),
        message.dynamic_batching.max_queue_delay_microseconds,
        least=0,
        most=MAX_DELAY_US,
    )
    preferred = _preferred_rows(reading, most)
    if most:
        return BatchingConfig(max_rows=preferred or most, max_delay_us=delay), most
    if delay:
        reading.ignore(
            (_DYNAMIC, "max_queue_delay_microseconds"), "nothing is batched: max_batch_size is 0"
        )
    # Without any tensor Triton completes the whole from the graph, batching included; with them,
    # 0 says that dims are whole shapes.
    is_stated = bool(message.input or message.output)
    return BatchingConfig(enabled=False if is_stated else None), None


def read_queue(reading: Reading) -> PriorityConfig:
    """`[queue]`. Errors: InvalidConfig when a level is not there or a bound is out of range."""
    batching = reading.message.dynamic_batching
    levels = reading.whole(
        (_DYNAMIC, "priority_levels"), batching.priority_levels, least=0, most=MAX_PRIORITY_LEVELS
    )
    default = _policy(reading, (_DYNAMIC, "default_queue_policy"), batching.default_queue_policy)
    if not levels:
        for name in ("default_priority_level", "priority_queue_policy"):
            if getattr(batching, name):
                reading.ignore((_DYNAMIC, name), "there are no priority_levels")
        return PriorityConfig(default=default)
    chosen = batching.default_priority_level
    reading.whole((_DYNAMIC, "default_priority_level"), chosen, least=1, most=levels)
    policies: dict[str, QueuePolicy] = {}
    for level, policy in sorted(batching.priority_queue_policy.items()):
        path = (_DYNAMIC, "priority_queue_policy", Key(level))
        reading.whole(path, level, least=1, most=levels)
        policies[str(level)] = _policy(reading, path, policy)
    return PriorityConfig(
        priority_levels=levels, default_priority=chosen, default=default, levels=policies
    )


def read_versions(reading: Reading) -> VersionsConfig:
    """`[versions]`. Errors: InvalidConfig when no version, or one that cannot be, is named."""
    policy, path = reading.message.version_policy, ("version_policy",)
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionsConfig(all=True)
    if choice == "latest":
        where = (*path, "latest", "num_versions")
        newest = reading.whole(where, policy.latest.num_versions, least=1, most=MAX_COUNT)
        return VersionsConfig(latest=newest)
    if choice == "specific":
        numbers = tuple(policy.specific.versions)
        where = (*path, "specific", "versions")
        if not numbers:
            raise reading.refused((*path, "specific"), "names no version")
        for place, number in enumerate(numbers):
            reading.whole((*where, place), number, least=1, most=MAX_VERSION)
            if number in numbers[:place]:
                raise reading.refused((*where, place), f"version {number} is named already")
        return VersionsConfig(specific=numbers)
    return VersionsConfig()


def _preferred_rows(reading: Reading, most: int) -> int:
    """The largest preferred batch, which is the most that a batch grows to; 0 without any."""
    sizes = list(reading.message.dynamic_batching.preferred_batch_size)
    path: FieldPath = (_DYNAMIC, "preferred_batch_size")
    if sizes and not most:
        raise reading.refused(path, "nothing is batched: max_batch_size is 0")
    for place, rows in enumerate(sizes):
        if rows < 1 or rows > most:
            raise reading.refused(
                (*path, place), f"got {rows}, expected 1 to {most}, the max_batch_size"
            )
    largest = max(sizes, default=0)
    others = sorted(set(sizes) - {largest})
    if others:
        listed = ", ".join(map(str, others))
        reading.ignore(
            path, f"batches are of any size up to {largest}: nothing waits to become {listed} rows"
        )
    return largest


def _policy(reading: Reading, path: FieldPath, message: pb.ModelQueuePolicy) -> QueuePolicy:
    timeout_us = reading.whole(
        (*path, "default_timeout_microseconds"),
        message.default_timeout_microseconds,
        least=0,
        most=MAX_TIMEOUT_US,
    )
    is_delay = message.timeout_action == pb.ModelQueuePolicy.DELAY
    return QueuePolicy(
        timeout_action="delay" if is_delay else "reject",
        timeout_us=timeout_us,
        allow_timeout_override=message.allow_timeout_override,
        max_requests=message.max_queue_size,
    )
