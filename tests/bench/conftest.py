import pytest

from fastserve.bench.distribution import Distribution
from fastserve.bench.result import LoadResult


@pytest.fixture
def result_of():
    """A function that makes the result of a load whose answers all took `ms`."""

    def make(ms, *, rate=1000.0, offered=0.0, seconds=2.0, errors=0, failure="", interrupted=False):
        ok = round(rate * seconds)
        return LoadResult(
            models={"m": Distribution([(ms * 1e6, ok)] if ok else [])},
            statuses={"m": {"OK": ok} | ({"INTERNAL": errors} if errors else {})},
            examples={"INTERNAL": "<boom>"} if errors else {},
            sent=ok + errors,
            unanswered=0,
            unsent=0,
            lost_connections=0,
            received_bytes=0,
            measured=ok + errors,
            seconds=seconds,
            warm_up_seconds=0.5,
            is_steady=True,
            delay=Distribution([(1000.0, ok)]),
            cpu_seconds=0.001,
            failure=failure,
            offered_per_second=offered,
            is_interrupted=interrupted,
        )

    return make
