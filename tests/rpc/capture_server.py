"""A server of nothing but captured files, on either transport, in a thread of its own."""

import asyncio
import threading
from contextlib import contextmanager

from fastserve._core import core
from fastserve.config import Address, ListenSettings, Settings
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.rpc.capture import CaptureServicer
from fastserve.rpc.transport import Served, open_transport


class CaptureServer:
    """`address` answers Status and Export of `capture`, or says that there is none."""

    def __init__(self, root, capture, transport="native"):
        repository = root / "repository"
        repository.mkdir()
        grpc = (Address(host="127.0.0.1"),)
        listen = ListenSettings(grpc=grpc, transport=transport)
        self._settings = Settings(repository=repository, listen=listen)
        self._capture = capture
        self._ready = threading.Event()
        self._failure = None

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

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        engine = core.Engine(
            executors=1, max_ports=3, max_queue_rows=1, max_queue_bytes=1,
            max_total_queue_bytes=1, inline_budget_ns=0,
        )  # fmt: skip
        try:
            methods = tuple(CaptureServicer(lambda: self._capture).methods())
            served = Served(engine, Readiness(Catalog(engine)), methods)
            transport = open_transport(self._settings, served, io_threads=1, tokens=())
            (bound,) = await transport.start()
            self.address = str(bound)
        except Exception as error:  # noqa: BLE001 - shown by the test's thread
            self._failure = error
        self._ready.set()
        if self._failure is None:
            await self._stop.wait()
            await transport.stop()
        engine.close()
