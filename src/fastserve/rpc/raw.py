"""Inference for callers on the event loop: request bytes in, answer bytes out, by the core.

Nothing is decoded here. One port serves any number of calls; answers come back through the port's
file descriptor, so the loop sleeps while the model runs.

Thread: the event loop's.
"""

import asyncio
from itertools import count

from fastserve._core import core
from fastserve.errors import ServerDraining, from_core, from_status


class RawInference:
    """Call `close` before the engine goes."""

    def __init__(self, engine: core.Engine, call_log: core.CallLog | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = core.RawPort(engine, call_log)
        self._tokens = count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._loop.add_reader(self._port.event_fd, self._take)

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    async def infer(
        self, request: bytes, deadline_ns: int, origin: core.CallOrigin | None = None
    ) -> bytes:
        """A ModelInferResponse's bytes. Errors: FastserveError as the core gave it.

        Cancelling the caller takes the request out of its queue.
        """
        token = next(self._tokens)
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[token] = future
        try:
            self._port.submit(token, request, deadline_ns, origin)
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
        for token, code, payload in self._port.take():
            future = self._waiting.get(token)
            # Nobody waits for what was cancelled while it ran.
            if future is None or future.done():
                continue
            if isinstance(payload, bytes):
                future.set_result(payload)
            else:
                future.set_exception(from_status(code, payload))
