"""Locust users that call a model over a real gRPC channel. A locustfile; guard.py starts it.

grpcio inside Locust needs gevent's event loop: grpc.experimental.gevent gives it that. What the
harness adds, a thread switch in gevent among it, is about 0.4 ms a call on the machine of the
README's table: so the model that is asked takes several milliseconds, and a budget is about it.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from random import Random

import grpc
import grpc.experimental.gevent

grpc.experimental.gevent.init_gevent()

# Locust replaces the sockets of the standard library: after grpcio knows of gevent.
from locust import LoadTestShape, User, task  # noqa: E402

INFER = "/inference.GRPCInferenceService/ModelInfer"
BODIES = [Path(path).read_bytes() for path in os.environ["BENCH_BODIES"].split(os.pathsep)]
USERS = int(os.environ["BENCH_USERS"])
SECONDS = float(os.environ["BENCH_SECONDS"])
# Of one user, between the starts of two calls.
INTERVAL = USERS / float(os.environ["BENCH_RATE"])
IS_POISSON = os.environ["BENCH_SHAPE"] == "bursty"
IS_RAMP = os.environ["BENCH_SHAPE"] == "ramp"
NUMBERS = itertools.count()
CHANCE = Random(1)  # noqa: S311 - arrivals, not secrets
HEADERS = (("x-user", "anna"),)


class Caller(User):
    """One channel. Calls are due at times of their own: a slow answer does not make them fewer."""

    def __init__(self, environment: object) -> None:
        super().__init__(environment)
        self._due = time.perf_counter()

    def on_start(self) -> None:
        """Opens a connection of this user's own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(self.host or "", options)
        self._call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(INFER)
        # Users begin apart from each other: the first calls together would be a burst of their own.
        self._due = time.perf_counter() + next(NUMBERS) % USERS / USERS * INTERVAL
        time.sleep(max(0.0, self._due - time.perf_counter()))

    def on_stop(self) -> None:
        """Ends it."""
        self._channel.close()

    def wait_time(self) -> float:
        """Returns the seconds until the next call is due, 0 when it is overdue."""
        self._due += CHANCE.expovariate(1 / INTERVAL) if IS_POISSON else INTERVAL
        return max(0.0, self._due - time.perf_counter())

    @task
    def infer(self) -> None:
        """Its time counts from when it was due."""
        began = min(self._due, time.perf_counter())
        error: Exception | None = None
        answer = b""
        try:
            answer = self._call(CHANCE.choice(BODIES), timeout=10, metadata=HEADERS)
        except grpc.RpcError as caught:
            error = caught
        self.environment.events.request.fire(
            request_type="grpc",
            name="infer",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=len(answer),
            exception=error,
        )


if IS_RAMP:

    class Ramp(LoadTestShape):
        """One more user each part of the time."""

        def tick(self) -> tuple[int, float] | None:
            """Returns how many there should be, and how fast they may come."""
            share = float(self.get_run_time()) / SECONDS  # type: ignore[no-untyped-call]
            return (max(1, round(share * USERS)), USERS) if share < 1 else None
