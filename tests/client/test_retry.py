"""The retry policy as a pure function, and the budget."""

import grpc
import pytest
from hypothesis import given, strategies as st

from fastserve.client.failure import Failure
from fastserve.client.retry import RetryBudget, RetryPolicy
from fastserve.errors import InvalidConfig


class Refused(grpc.RpcError):
    """What both kinds of grpcio's channels raise, reduced to what is asked of it."""

    def __init__(self, status, pushback=None, details="refused"):
        self._status = status
        self._details = details
        self._trailers = () if pushback is None else (("grpc-retry-pushback-ms", pushback),)

    def code(self):
        return self._status

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._trailers


def unavailable(pushback=None):
    return Failure(Refused(grpc.StatusCode.UNAVAILABLE, pushback))


@given(attempt=st.integers(1, 60), chance=st.floats(0, 1, exclude_max=True))
def test_backoff_grows_by_the_multiplier_up_to_its_bound_with_a_fifth_of_jitter(attempt, chance):
    policy = RetryPolicy(attempts=100)
    wait = policy.wait_seconds(attempt, unavailable(), 1e9, chance)
    middle = min(0.05 * 2 ** (attempt - 1), 1.0)
    assert 0.8 * middle <= wait <= 1.2 * middle


@given(pushback=st.integers(0, 30_000), remaining=st.floats(0, 60))
def test_pause_is_never_longer_than_what_is_left(pushback, remaining):
    wait = RetryPolicy().wait_seconds(1, unavailable(str(pushback)), remaining, 0.5)
    assert wait == (pushback / 1000 if pushback / 1000 < remaining else None)


def test_pushback_longer_than_the_policy_bears_is_not_waited_for():
    policy = RetryPolicy(max_pushback_seconds=2)
    assert policy.wait_seconds(1, unavailable("2000"), 1e9, 0.5) == 2
    assert policy.wait_seconds(1, unavailable("2001"), 1e9, 0.5) is None


@pytest.mark.parametrize("status", list(grpc.StatusCode))
def test_only_unavailable_and_resource_exhausted_may_be_repeated(status):
    if status is grpc.StatusCode.OK:
        return
    may = status in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert Failure(Refused(status)).may_retry is may


def test_message_size_is_no_reason_to_repeat():
    words = "SERVER: Received message larger than max (5 vs. 4)"
    assert not Failure(Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, details=words)).may_retry


def test_budget_stops_retries_while_most_calls_fail_and_recovers():
    budget = RetryBudget()
    for _ in range(49):
        budget.on_failure()
    assert budget.allows_retry
    budget.on_failure()
    assert not budget.allows_retry
    for _ in range(5):
        budget.on_success()
    assert budget.allows_retry


def test_policy_refuses_a_backoff_that_starts_above_its_bound():
    with pytest.raises(InvalidConfig, match="retry backoff starts at 2 s"):
        RetryPolicy(initial_backoff_seconds=2, max_backoff_seconds=1)
