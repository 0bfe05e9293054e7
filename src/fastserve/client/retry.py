"""When a failed call is tried again, and after how long; pure but for the budget's counter.

Follows gRFC A6: exponential backoff with jitter, the server's pushback in its place, and a budget
that stops retries while most calls fail, so that they do not keep an overloaded server down.
"""

from dataclasses import dataclass
from typing import Final

from fastserve.client.failure import Failure
from fastserve.errors import InvalidConfig

_JITTER_RATIO: Final = 0.2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is repeated after UNAVAILABLE or RESOURCE_EXHAUSTED.

    All within the call's deadline. `attempts` counts the first one: 1 turns retries off.
    A server that asks for a longer pause than `max_pushback_seconds` is not waited for.
    """

    attempts: int = 4
    initial_backoff_seconds: float = 0.05
    max_backoff_seconds: float = 1.0
    multiplier: float = 2.0
    max_pushback_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InvalidConfig(
                f"retry attempts are {self.attempts}, expected 1 (no retry) or more"
            )
        if not 0 <= self.initial_backoff_seconds <= self.max_backoff_seconds:
            raise InvalidConfig(
                f"retry backoff starts at {self.initial_backoff_seconds} s, expected 0 to "
                f"max_backoff_seconds ({self.max_backoff_seconds} s)"
            )

    def wait_seconds(
        self, attempt: int, failure: Failure, remaining_seconds: float, chance: float
    ) -> float | None:
        """The pause before the next attempt, or None when `failure` is the answer.

        `attempt` counts those made; `chance` is uniform in [0, 1). A pause that would outlast the
        deadline is not begun: the caller gets the failure at once instead.
        """
        if attempt >= self.attempts or not failure.may_retry:
            return None
        if failure.pushback_ms is not None:
            wait = failure.pushback_ms / 1000
            if wait > self.max_pushback_seconds:
                return None
        else:
            backoff = self.initial_backoff_seconds * self.multiplier ** (attempt - 1)
            spread = 1 + _JITTER_RATIO * (2 * chance - 1)
            wait = min(backoff, self.max_backoff_seconds) * spread
        return wait if wait < remaining_seconds else None


class RetryBudget:
    """Tokens of one client: a failure that may be retried costs one, a success gives a tenth back.

    Retries are allowed above half. Updates from several threads may lose one another: the count
    steers, it does not account.
    """

    __slots__ = ("_tokens",)

    CAPACITY: Final = 100.0
    REFUND: Final = 0.1

    def __init__(self) -> None:
        self._tokens = self.CAPACITY

    def on_success(self) -> None:
        if self._tokens < self.CAPACITY:
            self._tokens = min(self.CAPACITY, self._tokens + self.REFUND)

    def on_failure(self) -> None:
        self._tokens = max(0.0, self._tokens - 1.0)

    @property
    def allows_retry(self) -> bool:
        return self._tokens > self.CAPACITY / 2


def read_policy(retries: int | RetryPolicy) -> RetryPolicy:
    """A policy from what the constructors take: a number of retries, or a policy."""
    if isinstance(retries, RetryPolicy):
        return retries
    return RetryPolicy(attempts=retries + 1)
