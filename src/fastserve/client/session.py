"""What the blocking and the asyncio client share: settings, retries, deadlines."""

import math
import random
import time
from typing import Final

from fastserve.client.channel import TLS, Metadata, lower_keys, read_settings
from fastserve.client.failure import Failure
from fastserve.client.retry import RetryBudget, RetryPolicy, read_policy
from fastserve.errors import FastserveError, InvalidConfig

DEFAULT_RETRIES: Final = 3
DEFAULT_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024  # the server's own default


class Session:
    """The part of a client that does not wait. Thread: any; calls may run at the same time."""

    def __init__(
        self,
        target: str,
        *,
        token: str | None,
        tls: bool | TLS | None,
        timeout: float | None,
        retries: int | RetryPolicy,
        metadata: Metadata,
        max_message_bytes: int,
        compression: str | None,
    ) -> None:
        self.settings = read_settings(
            target,
            token=token,
            tls=tls,
            metadata=metadata,
            max_message_bytes=max_message_bytes,
            compression=compression,
        )
        self.compression = self.settings.grpc_compression()
        self.policy = read_policy(retries)
        self.budget = RetryBudget()
        self._metadata = self.settings.call_metadata()
        self._timeout = check_timeout(timeout)

    def deadline(self, timeout: float | None) -> float:
        """When a call that starts now must be over, on time.monotonic()'s clock; inf for never."""
        seconds = self._timeout if timeout is None else check_timeout(timeout)
        return math.inf if seconds is None else time.monotonic() + seconds

    def metadata(self, extra: Metadata) -> tuple[tuple[str, str | bytes], ...]:
        return (*self._metadata, *lower_keys(extra)) if extra else self._metadata

    def next_wait(self, attempt: int, failure: Failure, deadline: float) -> float | None:
        """Seconds to pause before the next attempt; None when the failure is to be raised."""
        if not failure.may_retry:
            return None
        self.budget.on_failure()
        if not self.budget.allows_retry:
            return None
        left = deadline - time.monotonic()
        chance = random.random()  # noqa: S311 - jitter
        return self.policy.wait_seconds(attempt, failure, left, chance)

    def error(self, failure: Failure) -> FastserveError:
        return failure.to_error(self.settings.target)


# Three years. grpcio's clock overflows at about 9e9 s, and then calls fail at once.
MAX_TIMEOUT_SECONDS: Final = 100_000_000


def seconds_left(deadline: float) -> float | None:
    """The timeout to give to grpcio; None for no deadline. Zero makes it answer at once."""
    return None if deadline == math.inf else max(0.0, deadline - time.monotonic())


def check_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not 0 < timeout <= MAX_TIMEOUT_SECONDS:
        raise InvalidConfig(
            f"timeout is {timeout} s, expected more than 0 and at most {MAX_TIMEOUT_SECONDS:,}, "
            "or None for no deadline"
        )
    return timeout
