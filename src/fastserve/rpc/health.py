"""grpc.health.v1: the server (""), a service by its name, a model as `name` or `name/version`.

Check answers NOT_FOUND for what is not there; Watch answers SERVICE_UNKNOWN and goes on, since it
may come. A drain is told to watchers as NOT_SERVING, then their streams end: an open stream would
hold up the drain.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

from fastserve._proto import health_pb2
from fastserve.errors import ModelNotFound, quoted
from fastserve.models.readiness import Readiness
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

SERVICE: Final = "grpc.health.v1.Health"

_Status = health_pb2.HealthCheckResponse.ServingStatus


class HealthServicer:
    """Thread: the event loop's. `services` are the names that stand for the whole server."""

    def __init__(self, readiness: Readiness, services: Iterable[str]) -> None:
        self._readiness = readiness
        self._services = frozenset({"", *services})

    def methods(self) -> Iterator[Method]:
        return service_methods(SERVICE, {"Check": self.check, "Watch": self.watch})

    async def check(
        self, request: health_pb2.HealthCheckRequest, _context: CallContext
    ) -> health_pb2.HealthCheckResponse:
        status = self._status(request.service)
        if status == _Status.SERVICE_UNKNOWN:
            raise ModelNotFound(f"no service or model named {quoted(request.service)}")
        return health_pb2.HealthCheckResponse(status=status)

    async def watch(
        self, request: health_pb2.HealthCheckRequest, _context: CallContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        changed = asyncio.Event()
        forget = self._readiness.on_change(changed.set)
        try:
            last = None
            while True:
                changed.clear()
                # Before the status: a drain may begin while the client is told, and it is told too.
                is_last = self._readiness.is_draining
                status = self._status(request.service)
                if status != last:
                    yield health_pb2.HealthCheckResponse(status=status)
                    last = status
                if is_last:
                    return
                await changed.wait()
        finally:
            forget()

    def _status(self, service: str) -> _Status:
        if service in self._services:
            is_ready: bool | None = self._readiness.is_ready()
        else:
            name, _, version = service.partition("/")
            is_ready = self._readiness.is_model_ready(name, version)
        if is_ready is None:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if is_ready else _Status.NOT_SERVING
