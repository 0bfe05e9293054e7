"""PushModel's stream on its way to the disk: the writing thread takes each message as it needs it.

So the caller sends no faster than the disk takes, and no file is held in memory.

Thread: the event loop's; the disk is written in threads for uploads alone.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.errors import InvalidConfig, RequestCancelled
from fastserve.models.load_pool import LoadPool
from fastserve.models.publication import PublishedVersion, write_version

if TYPE_CHECKING:
    from concurrent.futures import Future


# A caller that sends nothing for so long holds a thread and the model's folder for nothing.
_IDLE_SECONDS: Final = 60.0


class Upload:
    """Receives versions into one repository."""

    def __init__(self, repository: Path, pool: LoadPool, *, max_bytes: int) -> None:
        """`pool`: threads of its own, since each is held for as long as its caller sends."""
        self._repository = repository
        self._pool = pool
        self._max_bytes = max_bytes

    async def receive(
        self, requests: AsyncIterator[pb.PushModelRequest]
    ) -> tuple[pb.PushModelRequest.Header, PublishedVersion]:
        """Writes what the stream names and carries: all of it or nothing.

        Errors: InvalidConfig for a stream out of order, and those of write_version.
        """
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidConfig("the first message must be the header that names the model")
        header = first.header
        chunks = _Chunks(requests, asyncio.get_running_loop())
        try:
            published = await self._pool.run(
                write_version,
                self._repository,
                header.model,
                header.version or None,
                chunks.files(),
                lineage=dict(header.lineage),
                max_bytes=self._max_bytes,
            )
        finally:
            chunks.close()
        return header, published


class _Chunks:
    """The stream's files, taken from another thread."""

    def __init__(
        self, requests: AsyncIterator[pb.PushModelRequest], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._requests = requests
        self._loop = loop
        self._taking: Future[pb.PushModelRequest | None] | None = None
        self._is_closed = False

    def files(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(path, pieces) of each file, in order. Errors: RequestCancelled when the caller left."""
        for path, parts in itertools.groupby(self._parts(), key=lambda part: part.path):
            yield path, (part.data for part in parts)

    def close(self) -> None:
        """The call is over: whoever waits for its next message is told. Thread: the loop's."""
        self._is_closed = True
        if self._taking is not None:
            self._taking.cancel()

    async def _next(self) -> pb.PushModelRequest | None:
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                return await anext(self._requests, None)
        except TimeoutError:
            raise RequestCancelled(
                f"no part of the upload came for {_IDLE_SECONDS:.0f} s, so it was given up"
            ) from None

    def _parts(self) -> Iterator[pb.PushModelRequest.Chunk]:
        while True:
            if self._is_closed:
                raise RequestCancelled("the upload was cut off")
            self._taking = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            if self._is_closed:  # between the look above and here
                self._taking.cancel()
            message = self._taking.result()
            if message is None:
                return
            if message.WhichOneof("part") != "chunk":
                raise InvalidConfig("the header comes once, before the files' parts")
            yield message.chunk
