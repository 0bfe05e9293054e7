"""Figures about memory and the start."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import grpc
import h2load
import payload
from children import Fastserve
from figure import Figure

if TYPE_CHECKING:
    from figure import Setting

MANY_CONNECTIONS = 5_000


def connections(setting: Setting) -> list[Figure]:
    """What a connection costs that sends a request a second, while so many others do."""
    body = setting.body("mlp")
    load = partial(h2load.run, body=body)
    kilobytes = []
    for _ in range(setting.repeats):
        with (
            Fastserve(setting.only("mlp"), setting.log("connections")) as ours,
            ThreadPoolExecutor(1) as caller,
        ):
            load(ours.url(), connections=4, in_flight=64)
            most = before = ours.resident_bytes()
            done = caller.submit(
                load,
                ours.url(),
                connections=MANY_CONNECTIONS,
                requests_per_second=MANY_CONNECTIONS,
                seconds=5,
            )
            while not done.done():
                most = max(most, ours.resident_bytes())
                time.sleep(0.1)
            done.result()
        kilobytes.append((most - before) / MANY_CONNECTIONS / 1024)
    what = f"KiB resident a connection, {MANY_CONNECTIONS:,} of them at a request a second each"
    return [Figure("connections", what, kilobytes, 16, at_least=False)]


def memory_and_start(setting: Setting) -> list[Figure]:
    """One small model: resident memory once it answered, and the time to that answer."""
    request = payload.message("mlp", (1, *payload.SHAPES["mlp"]))
    megabytes, seconds = [], []
    for _ in range(setting.repeats):
        with Fastserve(setting.only("mlp"), setting.log("start"), cores="0,1") as ours:
            with grpc.insecure_channel(ours.grpc) as channel:
                path = "/inference.GRPCInferenceService/ModelInfer"
                infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
                infer(request, timeout=5)
            seconds.append(time.monotonic() - ours.started)
            megabytes.append(ours.resident_bytes() / 1e6)
    return [
        Figure("resident memory", "MB after a 10 KB model answered", megabytes, 80, at_least=False),
        Figure("start", "s from process start to first answer", seconds, 0.5, at_least=False),
    ]
