"""A server of nothing but Rollouts, in a thread of its own, over a world of its own."""

import asyncio
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "routing"))  # test folders are not packages

from arms import World

from fastserve._core import core
from fastserve.config import Address, ListenSettings, Settings
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.rpc.rollout import RolloutServicer
from fastserve.rpc.transport import Served, open_transport


class RolloutServer:
    """`address` has rollouts of model `m`; `pass_seconds` is that of the world."""

    def __init__(self, root, transport="native", *, tokens=()):
        listen = ListenSettings(grpc=(Address(host="127.0.0.1"),), transport=transport)
        self._settings = Settings(repository=root, listen=listen)
        self._tokens = tokens
        self._ready = threading.Event()
        self._failure = None
        self.world = World()

    @contextmanager
    def running(self):
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        thread.start()
        assert self._ready.wait(30)
        assert self._failure is None, self._failure
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(30)

    def pass_seconds(self, seconds, **counts):
        passing = self.world.pass_seconds(seconds, **counts)
        asyncio.run_coroutine_threadsafe(passing, self._loop).result(30)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        engine = core.Engine(
            executors=1, max_ports=3, max_queue_rows=1, max_queue_bytes=1,
            max_total_queue_bytes=1, inline_budget_ns=0,
        )  # fmt: skip
        try:
            servicer = RolloutServicer(self.world.controller)
            served = Served(engine, Readiness(Catalog(engine)), tuple(servicer.methods()))
            transport = open_transport(self._settings, served, io_threads=1, tokens=self._tokens)
            (bound,) = await transport.start()
            self.address = str(bound)
        except Exception as error:  # noqa: BLE001 - shown by the test's thread
            self._failure = error
        self._ready.set()
        if self._failure is None:
            await self._stop.wait()
            await transport.stop()
        engine.close()
