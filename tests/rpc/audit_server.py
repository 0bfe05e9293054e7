"""A server of nothing but the audit log."""

from thread_server import ThreadServer

from fastserve.observe.audit import AuditEvent, AuditLog
from fastserve.rpc.audit import AuditServicer


class AuditServer(ThreadServer):
    """Answers ShowAudit and VerifyAudit of `log`, whose files lie in `folder`."""

    def __init__(self, root, transport="native", **options):
        super().__init__(root, transport)
        self.folder = root / "audit"
        self._options = options

    def append(self, **fields):
        """One record; durable when this returns."""
        given = {"action": "model.load", "actor": "anna", "origin": "operator", "model": "digits"}
        self.run(self.log.append(AuditEvent(**given | fields)))

    def drain(self):
        """As the server does it; True when no call was left open."""

        async def drain():
            self._readiness.start_drain()
            await self._transport.drain(30)
            return self._transport.open_calls == 0

        return self.run(drain())

    def open(self, _catalog, readiness):
        self.log = AuditLog.open(self.folder, **self._options)
        return AuditServicer(self.log, readiness).methods()

    async def close(self):
        self.log.close()
