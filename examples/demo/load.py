"""Sends held-out rows to a server, one row in each request, and keeps every answer."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastserve.client import AsyncClient, Client

if TYPE_CHECKING:
    from models import DemoModel
    from numpy.typing import NDArray

PROCESSES = 2  # a Python client is the slow side: one process cannot keep the server busy
IN_FLIGHT = 32  # of each process
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """What one client process sends: `requests` rows, from row `first` on, again and again."""

    target: str
    model: str
    input_name: str
    answer: str
    rows: NDArray[Any]
    first: int
    requests: int

    def row(self, number: int) -> int:
        return (self.first + number) % len(self.rows)


@dataclass(frozen=True)
class Answers:
    """The answer to each request beside the row that it was about, and how long all took."""

    row_numbers: NDArray[np.int64]
    values: NDArray[Any]
    seconds: float

    def by_row(self, rows: int) -> NDArray[Any]:
        """Returns one answer for each held-out row: the last that came for it."""
        found = np.empty(rows, self.values.dtype)
        found[self.row_numbers] = self.values
        return found


class Clients:
    """Client processes that are started once and used for every model."""

    def __init__(self) -> None:
        # spawn: a fork would copy the parent's gRPC threads in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(PROCESSES, mp_context=context)
        list(self._pool.map(abs, range(PROCESSES)))

    def send(self, target: str, model: DemoModel, requests: int) -> Answers:
        """Sends `requests` requests in all, PROCESSES x IN_FLIGHT of them at a time."""
        share = requests // PROCESSES
        jobs = [
            Job(target, model.name, model.input_name, model.answer, model.rows, k * share, share)
            for k in range(PROCESSES)
        ]
        parts = list(self._pool.map(_send, jobs))
        return Answers(
            np.concatenate([part.row_numbers for part in parts]),
            np.concatenate([part.values for part in parts]),
            max(part.seconds for part in parts),
        )

    def close(self) -> None:
        self._pool.shutdown()


def one_at_a_time(target: str, model: DemoModel, requests: int) -> NDArray[np.float64]:
    """Returns the seconds of each call with a single call in flight: a user alone on the server."""
    seconds = np.empty(requests)
    with Client(target, timeout=TIMEOUT_SECONDS) as client:
        for number in range(requests):
            index = number % len(model.rows)
            row = {model.input_name: model.rows[index : index + 1]}
            started = time.perf_counter()
            client.infer(model.name, row)
            seconds[number] = time.perf_counter() - started
    return seconds


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Flattens answers and turns BYTES into str."""
    flat = values.reshape(-1)
    if flat.dtype != object:
        return flat
    return np.array([v.decode() if isinstance(v, bytes) else v for v in flat], dtype=str)


def _send(job: Job) -> Answers:
    return asyncio.run(_send_async(job))


async def _send_async(job: Job) -> Answers:
    numbers = iter(range(job.requests))
    row_numbers = np.empty(job.requests, np.int64)
    values: list[Any] = [None] * job.requests

    async with AsyncClient(job.target, timeout=TIMEOUT_SECONDS) as client:

        async def one_after_another() -> None:
            for number in numbers:
                index = job.row(number)
                inputs = {job.input_name: job.rows[index : index + 1]}
                answer = await client.infer(job.model, inputs)
                row_numbers[number] = index
                values[number] = answer[job.answer]

        await client.infer(job.model, {job.input_name: job.rows[:1]})  # the connection stands
        started = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(one_after_another())
        seconds = time.perf_counter() - started
    return Answers(row_numbers, plain(np.concatenate([v.reshape(-1) for v in values])), seconds)
