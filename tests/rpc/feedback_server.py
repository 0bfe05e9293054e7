"""A server of nothing but Feedback, on either transport, in a thread of its own."""

import asyncio
import threading
from contextlib import contextmanager

from fastserve._core import core
from fastserve.config import Address, FeedbackSettings, ListenSettings, Settings
from fastserve.drift.alarm import AlarmBook
from fastserve.feedback_hosting import FeedbackHosting
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.rpc.feedback import FeedbackServicer
from fastserve.rpc.transport import Served, open_transport


class FeedbackServer:
    """`address` takes labels for `models`; `store` is where their predictions are put."""

    def __init__(self, root, transport="native", *, models=("m",), tokens=(), **settings):
        listen = ListenSettings(grpc=(Address(host="127.0.0.1"),), transport=transport)
        self._settings = Settings(repository=root, listen=listen)
        self._feedback_settings = FeedbackSettings(**settings)
        self._models = models
        self._tokens = tokens
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

    @property
    def store(self):
        return self._feedback_hosting.store

    def counts(self):
        """How many labels came to what."""

        async def read():
            return {
                outcome: n for (_, outcome), n in self._feedback_hosting.feedback.counts.items()
            }

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result(30)

    def measures(self):
        """Of all rows of the first version of the first model."""

        async def read():
            (quality, *_) = self._feedback_hosting.feedback.models[0].versions
            return quality.shown.sums["all"].measures()

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result(30)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        engine = core.Engine(
            executors=1, max_ports=3, max_queue_rows=1, max_queue_bytes=1,
            max_total_queue_bytes=1, inline_budget_ns=0,
        )  # fmt: skip
        try:
            catalog = Catalog(engine)
            for name in self._models:
                catalog.add(name)
            self._feedback_hosting = FeedbackHosting(
                self._feedback_settings, catalog, AlarmBook(print)
            )
            is_on = self._feedback_settings.enabled
            servicer = FeedbackServicer(self._feedback_hosting.feedback if is_on else None, catalog)
            served = Served(engine, Readiness(catalog), tuple(servicer.methods()))
            transport = open_transport(self._settings, served, io_threads=1, tokens=self._tokens)
            (bound,) = await transport.start()
            self.address = str(bound)
            self._feedback_hosting.start()
        except Exception as error:  # noqa: BLE001 - shown by the test's thread
            self._failure = error
        self._ready.set()
        if self._failure is None:
            await self._stop.wait()
            await transport.stop()
            await self._feedback_hosting.stop()
        engine.close()
