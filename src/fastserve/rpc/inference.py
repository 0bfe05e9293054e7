"""inference.GRPCInferenceService without the inferences: health, metadata, statistics.

What the server does not do yet is answered UNIMPLEMENTED with the reason, and not announced.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from google.protobuf.message import Message

from fastserve import __version__
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import Unsupported
from fastserve.models.catalog import Catalog
from fastserve.models.on_demand import OnDemand
from fastserve.models.readiness import Readiness
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Handler, Method, service_methods
from fastserve.rpc.model_config import model_config, model_metadata
from fastserve.rpc.statistics import model_statistics

SERVICE: Final = "inference.GRPCInferenceService"
SERVER_NAME: Final = "fastserve"
# Protocol extensions, of those that the protocol names, which are really spoken.
EXTENSIONS: Final = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)

_NO_SHARED_MEMORY: Final = "shared memory is not offered; send tensors in the request"
_NO_SETTINGS: Final = "settings of the server are not changed by its clients"
_UNSUPPORTED: Final = {
    "SystemSharedMemoryStatus": _NO_SHARED_MEMORY,
    "SystemSharedMemoryRegister": _NO_SHARED_MEMORY,
    "SystemSharedMemoryUnregister": _NO_SHARED_MEMORY,
    "CudaSharedMemoryStatus": _NO_SHARED_MEMORY,
    "CudaSharedMemoryRegister": _NO_SHARED_MEMORY,
    "CudaSharedMemoryUnregister": _NO_SHARED_MEMORY,
    "TraceSetting": _NO_SETTINGS,
    "LogSettings": _NO_SETTINGS,
}


class InferenceServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, catalog: Catalog, readiness: Readiness, on_demand: OnDemand) -> None:
        self._catalog = catalog
        self._readiness = readiness
        self._on_demand = on_demand

    def methods(self) -> Iterator[Method]:
        """All but ModelInfer and ModelStreamInfer, which the transports serve their own way."""
        handlers: dict[str, Handler] = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ServerMetadata": self.server_metadata,
            "ModelReady": self.model_ready,
            "ModelMetadata": self.model_metadata,
            "ModelConfig": self.model_config,
            "ModelStatistics": self.model_statistics,
        }
        handlers.update({name: _refuse(name, reason) for name, reason in _UNSUPPORTED.items()})
        return service_methods(SERVICE, handlers)

    async def server_live(
        self, _request: pb.ServerLiveRequest, _context: CallContext
    ) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def server_ready(
        self, _request: pb.ServerReadyRequest, _context: CallContext
    ) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._readiness.is_ready())

    async def server_metadata(
        self, _request: pb.ServerMetadataRequest, _context: CallContext
    ) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(
            name=SERVER_NAME, version=__version__, extensions=EXTENSIONS
        )

    async def model_ready(
        self, request: pb.ModelReadyRequest, _context: CallContext
    ) -> pb.ModelReadyResponse:
        """Not ready, and no error, for what does not exist: so all clients understand it."""
        is_ready = self._readiness.is_model_ready(request.name, request.version)
        return pb.ModelReadyResponse(ready=bool(is_ready))

    async def model_metadata(
        self, request: pb.ModelMetadataRequest, _context: CallContext
    ) -> pb.ModelMetadataResponse:
        loaded = await self._on_demand.ready(request.name, request.version)
        ready = self._catalog.model(request.name).ready
        return model_metadata(loaded, (version.number for version in ready))

    async def model_config(
        self, request: pb.ModelConfigRequest, _context: CallContext
    ) -> pb.ModelConfigResponse:
        return pb.ModelConfigResponse(
            config=model_config(await self._on_demand.ready(request.name, request.version))
        )

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, _context: CallContext
    ) -> pb.ModelStatisticsResponse:
        if not request.name:
            versions = self._catalog.ready_versions
        elif request.version:
            versions = [self._catalog.find(request.name, request.version)]
        else:
            self._catalog.find(request.name, "")
            versions = self._catalog.model(request.name).ready
        return pb.ModelStatisticsResponse(
            model_stats=[model_statistics(loaded) for loaded in versions]
        )


def _refuse(name: str, reason: str) -> Callable[[Any, CallContext], Awaitable[Message]]:
    async def refuse(_request: object, _context: CallContext) -> Message:
        raise Unsupported(f"{name} is not supported: {reason}")

    return refuse
