"""A server of nothing but the audit log, on either transport, in a thread of its own."""

import asyncio
import threading
from contextlib import contextmanager

from fastserve._core import core
from fastserve.config import Address, ListenSettings, Settings
from fastserve.models.catalog import Catalog
from fastserve.models.readiness import Readiness
from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.rpc.audit import AuditServicer
from fastserve.rpc.transport import Served, open_transport


class AuditServer:
    """`address` answers ShowAudit and VerifyAudit of `log`, whose files lie in `folder`."""

    def __init__(self, root, transport="native", **options):
        self.folder = root / "audit"
        self._repository = root / "repository"
        self._repository.mkdir()
        grpc = (Address(host="127.0.0.1"),)
        listen = ListenSettings(grpc=grpc, transport=transport)
        self._settings = Settings(repository=self._repository, listen=listen)
        self._options = options
        self._ready = threading.Event()
        self._failure = None

    def append(self, **fields):
        """One record; durable when this returns."""
        given = {"action": "model.load", "actor": "anna", "origin": "operator", "model": "digits"}
        self.run(self.log.append(AuditEvent(**given | fields)))

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def drain(self):
        """As the server does it; True when no call was left open."""

        async def drain():
            self._readiness.start_drain()
            await self._transport.drain(30)
            return self._transport.open_calls == 0

        return self.run(drain())

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
            self._readiness = Readiness(Catalog(engine))
            self.log = AuditLog.open(self.folder, **self._options)
            control = tuple(AuditServicer(self.log, self._readiness).methods())
            served = Served(engine, self._readiness, control)
            self._transport = open_transport(self._settings, served, io_threads=1, tokens=())
            (bound,) = await self._transport.start()
            self.address = str(bound)
        except Exception as error:  # noqa: BLE001 - shown by the test's thread
            self._failure = error
        self._ready.set()
        if self._failure is None:
            await self._stop.wait()
            await self._transport.stop()
            self.log.close()
        engine.close()
