"""The protocol's own repository RPCs: index, load, unload, as Triton's clients use them.

Where the server follows its repository by itself, loads and unloads by these RPCs are refused, as
Triton refuses them; fastserve.v1.Control has them in every mode.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import (
    FastserveError,
    InvalidConfig,
    InvalidTensor,
    Unsupported,
    VersionNotReady,
    quoted,
)
from fastserve.models.attempt import LoadOptions
from fastserve.models.catalog import Catalog
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import LoadJob
from fastserve.models.model_settings import ModelSettings, settings_from_json
from fastserve.models.pinned import Content, pin_memory
from fastserve.models.record import ModelRecord
from fastserve.models.repository import check_model_name
from fastserve.models.state import State
from fastserve.rpc.context import CallContext
from fastserve.rpc.load_request import FILE_PREFIX, LoadRequest, read_load_request
from fastserve.rpc.method_table import Method, service_methods
from fastserve.rpc.operations import Operations

SERVICE: Final = "inference.GRPCInferenceService"

# By version and name.
_Files: TypeAlias = dict[int, dict[str, Content]]

_FILE: Final = re.compile(r"file:([1-9][0-9]{0,17})/(.+)", re.DOTALL)
_NO_NAMES: Final = "'repository_name' specification is not supported"
_FOLLOWING: Final = (
    "explicit model load / unload is not allowed if polling is enabled: the server follows its "
    "repository; use `fastserve model load`, which works in every mode"
)


class RepositoryServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(
        self, catalog: Catalog, operations: Operations, pool: LoadPool, *, is_following: bool
    ) -> None:
        """`pool`: where files and configurations that come with a call are read."""
        self._catalog = catalog
        self._operations = operations
        self._pool = pool
        self._is_following = is_following

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {
                "RepositoryIndex": self.index,
                "RepositoryModelLoad": self.load,
                "RepositoryModelUnload": self.unload,
            },
            decoders={"RepositoryModelLoad": read_load_request},
        )

    async def index(
        self, request: pb.RepositoryIndexRequest, _context: CallContext
    ) -> pb.RepositoryIndexResponse:
        if request.repository_name:
            raise Unsupported(_NO_NAMES)
        return pb.RepositoryIndexResponse(
            models=[
                entry
                for model in self._catalog.models
                for entry in _index(model)
                if not request.ready or entry.state == State.READY.wire
            ]
        )

    async def load(self, load: LoadRequest, context: CallContext) -> pb.RepositoryModelLoadResponse:
        request = load.message
        self._check(request.repository_name)
        settings: ModelSettings | None = None
        files: _Files = {}
        if request.parameters:
            # Hardly anything but Python: at a low priority it would wait for a core with the
            # interpreter's lock in its hands.
            settings, files = await self._pool.run_normal(_overrides, load)
        try:
            if settings is not None and files:
                check_model_name(request.model_name)
                for number in sorted(files):
                    pinned = await self._pool.run(
                        pin_memory, files[number], settings.config.model_file
                    )
                    job = LoadJob(
                        model=request.model_name, number=number, settings=settings, pinned=pinned
                    )
                    await self._operations.load_files(context, job)
            else:
                options = LoadOptions(settings=settings)
                await self._operations.load(context, request.model_name, "", options)
        except FastserveError as error:
            raise InvalidConfig(
                f"load failed for model {quoted(request.model_name)}: {error.message}"
            ) from error
        return pb.RepositoryModelLoadResponse()

    async def unload(
        self, request: pb.RepositoryModelUnloadRequest, context: CallContext
    ) -> pb.RepositoryModelUnloadResponse:
        self._check(request.repository_name)
        for key in request.parameters:
            if key != "unload_dependents":
                raise InvalidTensor(f"unrecognized unload parameter {quoted(key)}")
        # As Triton: the call ends when no new request is answered, not when the memory is free.
        await self._operations.unload(
            context, request.model_name, 0, is_forced=True, is_waiting=False
        )
        return pb.RepositoryModelUnloadResponse()

    def _check(self, repository_name: str) -> None:
        if repository_name:
            raise Unsupported(_NO_NAMES)
        if self._is_following:
            raise VersionNotReady(_FOLLOWING)


def _overrides(load: LoadRequest) -> tuple[ModelSettings | None, _Files]:
    """The configuration and the files that came with the call. Errors: InvalidTensor."""
    request = load.message
    settings: ModelSettings | None = None
    files: defaultdict[int, dict[str, Content]] = defaultdict(dict)
    for key, parameter in request.parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if key == "config":
            if kind != "string_param":
                raise InvalidTensor("parameter 'config' must be a string_param: JSON")
            settings = settings_from_json(parameter.string_param, name=request.model_name)
        elif match := _FILE.fullmatch(key):
            if kind != "bytes_param":
                raise InvalidTensor(f"parameter {quoted(key)} must be a bytes_param")
            files[int(match[1])][match[2]] = parameter.bytes_param or load.files.get(key, b"")
        elif key.startswith(FILE_PREFIX):
            raise InvalidTensor(
                f"parameter {quoted(key)}: expected file:<version>/<name>, "
                "for example file:1/model.onnx"
            )
        else:
            raise InvalidTensor(
                f"unrecognized load parameter {quoted(key)}: expected 'config' or "
                "'file:<version>/<name>'"
            )
    if files and settings is None:
        raise InvalidTensor("files are given without the parameter 'config' that they need")
    return settings, dict(files)


def _index(model: ModelRecord) -> Iterator[pb.RepositoryIndexResponse.ModelIndex]:
    if not model.versions:
        yield pb.RepositoryIndexResponse.ModelIndex(
            name=model.name, state=State.FAILED.wire, reason=model.problem
        )
    for record in model.versions.values():
        yield pb.RepositoryIndexResponse.ModelIndex(
            name=model.name,
            version=str(record.number),
            state=record.state.wire,
            reason=record.reason if record.is_ready else model.problem or record.reason,
        )
