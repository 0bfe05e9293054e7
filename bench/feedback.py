"""A million labels through the RPC on loopback: how many a second, and what memory that takes.

    python bench/feedback.py [--labels N] [--max-bytes N] [--transport native|grpcio]

A server of nothing but Feedback runs in a child process with a store that holds N predictions of a
binary classifier (one row: a label and two probabilities). The parent sends their labels over one
SendMany stream, 1,000 a message, in the order of the predictions. Printed: labels a second as the
caller sees them, the server's own CPU time a label, and its memory before, with all predictions
stored, and after.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import psutil

from fastserve._core import core
from fastserve.client import Client, Label
from fastserve.config import Address, FeedbackSettings, ListenSettings, Settings
from fastserve.drift.alarm import AlarmBook
from fastserve.feedback_hosting import FeedbackHosting
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.rpc.feedback import FeedbackServicer
from fastserve.rpc.transport import Served, open_transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

MODEL = "fraud"


class Stored(NamedTuple):
    """What the server's process tells once it is ready."""

    address: str
    before_mib: float
    stored_mib: float
    put_seconds: float


def fill(store: core.PredictionStore, count: int) -> float:
    """Seconds that `count` predictions took, through the seam."""
    rng = np.random.default_rng(1)
    p = rng.random(count).astype(np.float32)
    probabilities = np.stack([1 - p, p], axis=1)
    labels = (p >= 0.5).astype(np.int64)
    start = time.perf_counter()
    for n in range(count):
        store.put(
            MODEL,
            1,
            f"request-{n}",
            [
                ("label", "INT64", (1,), labels[n].tobytes()),
                ("probabilities", "FP32", (1, 2), probabilities[n].tobytes()),
            ],
            time_ns=0,
        )
    return time.perf_counter() - start


async def serve(options: argparse.Namespace, tell: Connection) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    engine = core.Engine(
        executors=1,
        max_ports=3,
        max_queue_rows=1,
        max_queue_bytes=1,
        max_total_queue_bytes=1,
        inline_budget_ns=0,
    )
    catalog = Catalog(engine)
    catalog.add(MODEL)
    before = resident_mib()
    labels = FeedbackHosting(
        FeedbackSettings(max_bytes=options.max_bytes), catalog, AlarmBook(print)
    )
    seconds = fill(labels.store, options.labels)
    stored = resident_mib()
    with tempfile.TemporaryDirectory() as folder:
        listen = ListenSettings(grpc=(Address(host="127.0.0.1"),), transport=options.transport)
        methods = tuple(FeedbackServicer(labels.feedback, catalog).methods())
        served = Served(engine, Readiness(catalog), methods)
        settings = Settings(repository=Path(folder), listen=listen)
        transport = open_transport(settings, served, io_threads=1, tokens=())
        (bound,) = await transport.start()
        labels.start()
        tell.send(Stored(str(bound), before, stored, seconds))
        await stop.wait()
        await transport.stop()
        await labels.stop()
    engine.close()


def resident_mib() -> float:
    return float(psutil.Process().memory_info().rss) / (1 << 20)


def run_server(options: argparse.Namespace, tell: Connection) -> None:
    asyncio.run(serve(options, tell))


def truth(count: int) -> Iterator[Label]:
    """Nine of ten answers are right."""
    rng = np.random.default_rng(1)
    p = rng.random(count).astype(np.float32)
    wrong = rng.random(count) < 0.1
    values = ((p >= 0.5) ^ wrong).astype(int).tolist()
    return (Label(f"request-{n}", value) for n, value in enumerate(values))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--max-bytes", type=int, default=256 << 20)
    parser.add_argument("--transport", choices=("native", "grpcio"), default="native")
    options = parser.parse_args(arguments)
    context = multiprocessing.get_context("spawn")
    hear, tell = context.Pipe(duplex=False)
    server = context.Process(target=run_server, args=(options, tell))
    server.start()
    stored: Stored = hear.recv()
    process = psutil.Process(server.pid)
    used = process.cpu_times()
    start = time.perf_counter()
    with Client(stored.address) as client:
        summary = client.feedback_many(MODEL, truth(options.labels))
    seconds = time.perf_counter() - start
    now = process.cpu_times()
    cpu = now.user + now.system - used.user - used.system
    after = process.memory_info().rss / (1 << 20)
    server.terminate()
    server.join()
    print(f"put through the seam   {options.labels / stored.put_seconds:12,.0f} a second")
    print(f"labels through the RPC {options.labels / seconds:12,.0f} a second ({seconds:.1f} s)")
    print(f"server's CPU time      {cpu / options.labels * 1e6:12.1f} us a label")
    print(
        f"server's memory        {stored.before_mib:.0f} MiB empty, {stored.stored_mib:.0f} MiB "
        f"with the predictions, {after:.0f} MiB after"
    )
    print(f"outcomes               joined {summary.joined:,}, late {summary.late:,}, other "
          f"{summary.labels - summary.joined - summary.late:,}")  # fmt: skip
    return 0 if summary.labels == options.labels else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
