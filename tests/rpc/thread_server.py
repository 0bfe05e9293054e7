"""A server of one service of fastserve's own, on either transport, in a thread of its own."""

import asyncio
import threading
from contextlib import contextmanager

from fastserve._core import core
from fastserve.config import Address, ListenSettings, Settings
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.rpc.transport import Served, open_transport


class ThreadServer:
    """`address` answers the methods that a subclass opens, within `running`."""

    def __init__(self, root, transport="native", *, tokens=()):
        listen = ListenSettings(grpc=(Address(host="127.0.0.1"),), transport=transport)
        self._settings = Settings(repository=root, listen=listen)
        self._tokens = tokens
        self._ready = threading.Event()
        self._failure = None

    def open(self, catalog, readiness):
        """The methods. Thread: the event loop's, as for `close`."""
        raise NotImplementedError

    async def close(self):
        """Ends what `open` began."""

    def run(self, coroutine):
        """What it gives; it runs on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

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
            catalog = Catalog(engine)
            self._readiness = Readiness(catalog)
            methods = tuple(self.open(catalog, self._readiness))
            served = Served(engine, self._readiness, methods)
            self._transport = open_transport(
                self._settings, served, io_threads=1, tokens=self._tokens
            )
            (bound,) = await self._transport.start()
            self.address = str(bound)
        except Exception as error:  # noqa: BLE001 - shown by the test's thread
            self._failure = error
        self._ready.set()
        if self._failure is None:
            await self._stop.wait()
            await self._transport.stop()
            await self.close()
        engine.close()
