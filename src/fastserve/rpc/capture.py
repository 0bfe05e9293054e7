"""fastserve.v1.Capture: the files of captured requests. They are read in threads."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from fastserve._proto import fastserve_capture_pb2 as pb
from fastserve.errors import InvalidConfig, Unsupported
from fastserve.observe.capture_folder import (
    list_files,
    list_models,
    list_versions,
    version_folder,
)
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

if TYPE_CHECKING:
    from fastserve.observe.capture import CaptureStats

SERVICE: Final = "fastserve.v1.Capture"
# At once; more wait for their turn.
_EXPORTS: Final = 2


class CaptureFigures(Protocol):
    """What is captured (fastserve.observe.capture.Capture, which loads pyarrow)."""

    @property
    def root(self) -> Path: ...
    def stats(self) -> "CaptureStats": ...


class CaptureServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, find: Callable[[], CaptureFigures | None]) -> None:
        """`find` gives None as long as the server captures nothing."""
        self._find = find
        self._exporting = asyncio.Semaphore(_EXPORTS)

    def methods(self) -> Iterator[Method]:
        return service_methods(SERVICE, {"Status": self.status, "Export": self.export})

    async def status(
        self, _request: pb.CaptureStatusRequest, _context: CallContext
    ) -> pb.CaptureStatusResponse:
        capture = self._needed()
        versions = await asyncio.to_thread(lambda: list(_versions(capture.root)))
        names = {field.name for field in pb.CaptureStatusResponse.DESCRIPTOR.fields}
        stats = msgspec.structs.asdict(capture.stats())
        return pb.CaptureStatusResponse(
            folder=os.fsencode(capture.root).decode(errors="replace"),
            versions=versions,
            **{name: value for name, value in stats.items() if name in names},
        )

    async def export(
        self, request: pb.CaptureExportRequest, _context: CallContext
    ) -> AsyncIterator[pb.CaptureExportResponse]:
        from fastserve.observe.capture_export import Export, ExportQuery  # noqa: PLC0415 - pyarrow

        if request.version < 0 or request.since < 0 or request.until < 0:
            raise InvalidConfig("version, since and until: expected 0 or more")
        export = Export(
            self._needed().root,
            ExportQuery(
                model=request.model,
                version=request.version,
                since=request.since,
                until=request.until,
                with_labels=request.with_labels,
                only_labelled=request.only_labelled,
                format="csv" if request.csv else "parquet",
            ),
        )
        async with self._exporting, aclosing(_in_threads(export.chunks())) as chunks:
            async for data in chunks:
                yield pb.CaptureExportResponse(data=data)
        summary = pb.CaptureExportSummary(**msgspec.structs.asdict(export.summary))
        yield pb.CaptureExportResponse(summary=summary)

    def _needed(self) -> CaptureFigures:
        capture = self._find()
        if capture is None:
            raise Unsupported(
                "the server captures nothing: set capture.share in a model.toml, and install "
                "fastserve[capture]; the server's log says more"
            )
        return capture


async def _in_threads(chunks: Generator[bytes, None, None]) -> AsyncGenerator[bytes, None]:
    """One thread at a time has the generator, and none while the client does not read."""
    step = None
    try:
        while True:
            step = asyncio.create_task(asyncio.to_thread(next, chunks, b""))
            # A thread cannot be cancelled: it is waited for below.
            data = await asyncio.shield(step)
            if not data:
                return
            yield data
    finally:
        if step is not None:
            await asyncio.wait({step})
        await asyncio.to_thread(chunks.close)


def _versions(root: Path) -> Iterator[pb.CapturedVersion]:
    for model in list_models(root):
        for version in list_versions(root, model):
            sizes = []
            for path in list_files(version_folder(root, model, version)):
                try:
                    sizes.append(path.stat().st_size)
                except FileNotFoundError:
                    # Removed meanwhile, to stay within the bound.
                    continue
            yield pb.CapturedVersion(
                model=model, version=version, files=len(sizes), bytes=sum(sizes)
            )
