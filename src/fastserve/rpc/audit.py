"""The audit log's part of fastserve.v1.Control. Files are read in threads, never on the event loop.

A drain ends streams that follow the log: an open one would hold it up.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.errors import InvalidConfig
from fastserve.models.readiness import Readiness
from fastserve.observe.audit import AuditLog, take_lines
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

SERVICE: Final = "fastserve.v1.Control"


class AuditServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, audit: AuditLog, readiness: Readiness) -> None:
        self._audit = audit
        self._readiness = readiness
        # A verification reads everything: one at a time, whoever asks how often.
        self._verifying = asyncio.Lock()
        readiness.on_change(self._end_streams)

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE, {"ShowAudit": self.show_audit, "VerifyAudit": self.verify_audit}
        )

    async def show_audit(
        self, request: pb.ShowAuditRequest, _context: CallContext
    ) -> AsyncIterator[pb.AuditRecord]:
        if request.last < 0:
            raise InvalidConfig(f"last is {request.last}, expected a count, or 0 for all records")
        # Before the reading: what comes meanwhile is followed, and nothing comes twice.
        end = self._audit.position
        lines = self._audit.read(request.last, request.model, until=end)
        while batch := await asyncio.to_thread(take_lines, lines):
            for line in batch:
                yield pb.AuditRecord(json=line)
        if request.follow:
            async with aclosing(self._audit.follow(end, request.model)) as following:
                async for line in following:
                    yield pb.AuditRecord(json=line)

    async def verify_audit(
        self, _request: pb.VerifyAuditRequest, _context: CallContext
    ) -> pb.VerifyAuditResponse:
        async with self._verifying:
            found = await asyncio.to_thread(self._audit.verify)
        return pb.VerifyAuditResponse(
            is_intact=found.is_intact,
            records=found.records,
            head=found.head,
            problem=found.placed_problem,
            first=found.first,
        )

    def _end_streams(self) -> None:
        if self._readiness.is_draining:
            self._audit.stop_following()
