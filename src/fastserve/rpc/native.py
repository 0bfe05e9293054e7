"""The control plane's end of the native transport: events of the core's bridge become coroutines.

One task per call. A call that the peer resets, or whose deadline passes, has its task cancelled;
what it answers afterwards is dropped by the core. Received messages are credited when the handler
takes them, so what a peer may send ahead is its flow-control window.

Thread: the event loop's.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from fastserve._core import core
from fastserve.rpc.access import Access
from fastserve.rpc.calls import Calls
from fastserve.rpc.context import CallContext, Metadata
from fastserve.rpc.error_map import UNKNOWN_METHOD, WireStatus
from fastserve.rpc.invocation import invoke
from fastserve.rpc.method_table import Method, MethodTable, Received

# More than this on its way to a peer waits for the bridge to say that the peer reads:
# kWritableWindowBytes of csrc/fastserve/front/bridge.h.
WRITABLE_WINDOW_BYTES: Final = 256 * 1024


class NativeBridge:
    """Serves a method table from the bridge of a core Server, between `start` and `stop`."""

    def __init__(
        self, server: core.Server, table: MethodTable, access: Access, calls: Calls
    ) -> None:
        self._server = server
        self._table = table
        self._access = access
        self._followed = calls
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, _NativeCall] = {}

    @property
    def open_calls(self) -> int:
        return len(self._calls)

    def start(self) -> None:
        self._loop.add_reader(self._server.event_fd, self._take)

    async def stop(self) -> None:
        """Cancels what is still running and waits for it."""
        self._loop.remove_reader(self._server.event_fd)
        tasks = [call.task for call in self._calls.values() if call.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _take(self) -> None:
        for kind, number, payload in self._server.take_events():
            if kind == "start":
                self._begin(number, *payload)
                continue
            call = self._calls.get(number)
            if call is None:
                continue
            if kind == "message":
                call.receive(payload)
            elif kind == "half_close":
                call.receive(None)
            elif kind == "writable":
                call.writable.set()
            elif call.task is not None:
                call.task.cancel()

    def _begin(
        self, number: int, path: str, peer: str, deadline_ns: int, metadata: Metadata
    ) -> None:
        method = self._table.get(path)
        if method is None:
            self._finish(number, UNKNOWN_METHOD)
            return
        context = (path, peer, deadline_ns, tuple(metadata))
        call = _NativeCall(self._server, number, context)
        self._calls[number] = call
        call.task = self._loop.create_task(self._run(method, call), name=path)

    async def _run(self, method: Method, call: "_NativeCall") -> None:
        try:
            status = await invoke(
                method, call.requests(), call.send, call, self._access, calls=self._followed
            )
            self._finish(call.number, status)
        finally:
            del self._calls[call.number]

    def _finish(self, number: int, status: WireStatus) -> None:
        self._server.finish(number, status.code, status.message, status.trailers)


class _NativeCall(CallContext):
    def __init__(
        self,
        server: core.Server,
        number: int,
        context: tuple[str, str, int, Metadata],
    ) -> None:
        super().__init__(*context)
        self.number = number
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self._server = server
        # None stands for the peer's half-close.
        self._received: deque[Received | None] = deque()
        self._arrived = asyncio.Event()
        self._unacknowledged_bytes = 0

    def receive(self, message: Received | None) -> None:
        self._received.append(message)
        self._arrived.set()

    async def requests(self) -> AsyncIterator[Received]:
        while True:
            while not self._received:
                self._arrived.clear()
                await self._arrived.wait()
            message = self._received.popleft()
            if message is None:
                return
            self._server.credit(self.number, len(message))
            yield message

    async def send(self, message: bytes) -> None:
        if self._unacknowledged_bytes > WRITABLE_WINDOW_BYTES:
            await self.writable.wait()
            self.writable.clear()
            self._unacknowledged_bytes = 0
        self._unacknowledged_bytes += len(message)
        self._server.send_message(self.number, message)

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        self._server.send_initial_metadata(self.number, metadata)
