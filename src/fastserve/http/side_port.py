"""The side port's server: uvicorn on the loop that is there, its signal handlers left out."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import uvicorn

from fastserve.http.application import build_application
from fastserve.models.readiness import Readiness

if TYPE_CHECKING:
    from fastserve.observe.metrics import MetricsPage

_STOP_SECONDS: Final = 2
_MAX_CONNECTIONS: Final = 256


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the composition root's."""
        yield


class SidePort:
    """Serves the pages on a bound socket until `stop`. Thread: the event loop's."""

    def __init__(
        self, bound: socket.socket, readiness: Readiness, page: Callable[[], "MetricsPage"]
    ) -> None:
        self._socket = bound
        self._server = _Server(
            uvicorn.Config(
                build_application(readiness, page),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                limit_concurrency=_MAX_CONNECTIONS,
                timeout_graceful_shutdown=_STOP_SECONDS,
                server_header=False,
            )
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer; connections that came since the socket was bound are waiting."""
        self._task = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=[self._socket]), name="http side port"
        )

    async def stop(self) -> None:
        """Finishes what is being answered, for a bounded time, and closes the socket."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()
