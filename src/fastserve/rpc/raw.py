"""Inference for callers on the event loop: request bytes in, answer bytes out, by the core.

Nothing is decoded here. One port serves any number of calls; answers come back through the port's
file descriptor, so the loop sleeps while the model runs.

Thread: the event loop's.
"""

import asyncio
from collections.abc import Callable, Collection
from itertools import count
from typing import NamedTuple

from fastserve._core import core
from fastserve.errors import ServerDraining, from_core, from_status
from fastserve.rpc.context import CallContext


class RawAnswer(NamedTuple):
    """A ModelInferResponse's bytes; `routed` where a route chose: the version, and why it."""

    message: bytes
    routed: tuple[str, str] | None = None


class RawInference:
    """Call `close` before the engine goes."""

    def __init__(
        self,
        engine: core.Engine,
        call_log: core.CallLog | None = None,
        route_headers: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`route_headers`: names that some route looks at; no others are handed to the core."""
        self._route_headers = route_headers
        self._loop = asyncio.get_running_loop()
        self._port = core.RawPort(engine, call_log)
        self._tokens = count(1)
        self._waiting: dict[int, asyncio.Future[RawAnswer]] = {}
        self._loop.add_reader(self._port.event_fd, self._take)

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    async def infer(
        self, request: bytes, context: CallContext, origin: core.CallOrigin | None = None
    ) -> RawAnswer:
        """Errors: FastserveError as the core gave it.

        Cancelling the caller takes the request out of its queue.
        """
        token = next(self._tokens)
        future: asyncio.Future[RawAnswer] = self._loop.create_future()
        self._waiting[token] = future
        try:
            names = self._route_headers()
            headers = [(name, value) for name in names if (value := context.header(name))]
            self._port.submit(token, request, context.deadline_ns, headers, origin)
            # What ran on this thread is there already, and makes no descriptor readable.
            self._take()
            return await future
        except core.CoreError as error:
            raise from_core(error) from error
        except asyncio.CancelledError:
            self._port.cancel(token)
            raise
        finally:
            self._waiting.pop(token, None)

    def close(self) -> None:
        """Whoever still waits is told that the server is going away."""
        self._loop.remove_reader(self._port.event_fd)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ServerDraining("the server is shutting down"))
        self._port.close()

    def _take(self) -> None:
        for token, code, payload, routed in self._port.take():
            future = self._waiting.get(token)
            # Nobody waits for what was cancelled while it ran.
            if future is None or future.done():
                continue
            if isinstance(payload, bytes):
                future.set_result(RawAnswer(payload, routed))
            else:
                future.set_exception(from_status(code, payload))
