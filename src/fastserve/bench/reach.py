"""Whether a server can be reached at all, asked the way a load asks it."""

from typing import Final

from fastserve.bench.plan import Payload, Plan, Target, start
from fastserve.errors import VersionNotReady

_SECONDS: Final = 5.0


def find_obstacle(target: Target) -> str:
    """Makes one connection and asks ServerLive; why that is not possible, empty when it is.

    Any answer will do, also a refusal. Errors: InvalidConfig.
    """
    plan = Plan(
        connections=1,
        max_requests=1,
        deadline_seconds=_SECONDS,
        drain_seconds=_SECONDS,
        connect_seconds=_SECONDS,
    )
    try:
        run = start(target, [Payload("", b"")], plan, method="ServerLive")
    except VersionNotReady as error:
        return error.message
    try:
        while not run.wait(1.0):
            pass  # comes back to the interpreter, which may have been interrupted
        return run.snapshot().failure
    finally:
        run.close()
