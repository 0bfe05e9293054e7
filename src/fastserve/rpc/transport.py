"""One interface over the two transports: how the server starts, drains and stops them.

Thread: the event loop's.
"""

import abc
import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.config import Address, Settings
from fastserve.models.readiness import Readiness
from fastserve.rpc.access import Access, is_control_open
from fastserve.rpc.calls import Calls
from fastserve.rpc.method_table import Method
from fastserve.rpc.native import NativeBridge
from fastserve.rpc.raw import RawInference
from fastserve.rpc.service import build_table
from fastserve.tokens import Token

# How often a drain looks whether the last call is over.
_POLL_SECONDS: Final = 0.01
_CUT_SECONDS: Final = 5.0


class Transport(abc.ABC):
    """States: made, started, draining, stopped; in that order, and `stop` from any."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @abc.abstractmethod
    async def start(self) -> list[Address]:
        """Binds and answers; the addresses that were bound. Errors: OSError with the address."""

    def replace_tokens(self, tokens: Sequence[Token]) -> None:
        """Calls that start after this need one of these; those in flight go on."""
        self._access.replace(tokens)

    @abc.abstractmethod
    async def drain(self, seconds: float) -> None:
        """Takes no new calls and waits for those in flight, at most so long."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Cuts off what is left."""

    async def _idle_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # The count is the core's, which has no event to wait for.
                while self.open_calls:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)

    @property
    @abc.abstractmethod
    def open_calls(self) -> int: ...

    @property
    @abc.abstractmethod
    def open_connections(self) -> int: ...


class Served(msgspec.Struct, frozen=True):
    """What a transport serves."""

    engine: core.Engine
    readiness: Readiness
    # All but health, reflection and the inferences themselves.
    methods: tuple[Method, ...]
    calls: Calls | None = None
    # Names of headers, in lower case, that some route looks at now.
    route_headers: Callable[[], Collection[str]] = tuple


def open_transport(
    settings: Settings, served: Served, *, io_threads: int, tokens: tuple[Token, ...]
) -> Transport:
    """The transport that the settings name, not started."""
    calls = served.calls or Calls()
    access = Access(tokens, is_control_open=is_control_open(settings), names=calls.actors)
    if settings.listen.transport == "grpcio":
        return GrpcioTransport(settings, served, access, calls)
    return NativeTransport(settings, served, io_threads, access, calls)


class NativeTransport(Transport):
    """The core's own: io threads in C++, everything but inference through the bridge."""

    def __init__(
        self,
        settings: Settings,
        served: Served,
        io_threads: int,
        access: Access,
        calls: Calls,
    ) -> None:
        super().__init__(access)
        limits = settings.limits
        self._settings = settings
        self._server = core.Server(
            served.engine,
            io_threads=io_threads,
            max_message_bytes=limits.max_message_bytes,
            max_concurrent_streams=limits.max_concurrent_streams,
            max_header_bytes=limits.max_header_bytes,
            max_connections=limits.max_connections,
            tokens=access.secrets,
            call_log=calls.log,
        )
        table = build_table(served.readiness, served.methods)
        self._bridge = NativeBridge(self._server, table, access, calls)

    async def start(self) -> list[Address]:
        bound = [self._listen(address) for address in self._settings.listen.grpc]
        self._bridge.start()
        self._server.start()
        return bound

    def _listen(self, address: Address) -> Address:
        security = self._settings.security
        if address.unix_path:
            self._server.listen_unix(address.unix_path)
            return address
        host, port = self._server.listen_tcp(
            address.host,
            address.port,
            certificate_pem=_read(security.certificate),
            key_pem=_read(security.key),
            client_ca_pem=_read(security.client_ca),
        )
        return Address(host=host, port=port)

    def replace_tokens(self, tokens: Sequence[Token]) -> None:
        super().replace_tokens(tokens)
        self._server.replace_tokens(self._access.secrets)

    async def drain(self, seconds: float) -> None:
        self._server.start_drain()
        await self._idle_within(seconds)

    async def stop(self) -> None:
        await self._bridge.stop()
        self._server.close()

    @property
    def open_calls(self) -> int:
        return self._server.open_calls

    @property
    def open_connections(self) -> int:
        return self._server.open_connections


class GrpcioTransport(Transport):
    """grpc.aio. Its inferences go through a raw port of the engine."""

    def __init__(
        self,
        settings: Settings,
        served: Served,
        access: Access,
        calls: Calls,
    ) -> None:
        super().__init__(access)
        # Only this transport pays for importing grpcio.
        from fastserve.rpc.aio import AioServer  # noqa: PLC0415

        self._settings = settings
        self._raw = RawInference(served.engine, calls.log, served.route_headers)
        table = build_table(served.readiness, served.methods, self._raw, calls)
        self._server = AioServer(table, settings.limits, access, calls)

    async def start(self) -> list[Address]:
        listen, security = self._settings.listen, self._settings.security
        bound = [self._server.listen(address, security) for address in listen.grpc]
        await self._server.start()
        return bound

    async def drain(self, seconds: float) -> None:
        # Refuses new calls at once. It would cut off at the same moment as we give up: later, then.
        stopping = asyncio.create_task(self._server.stop(seconds + _CUT_SECONDS))
        try:
            await self._idle_within(seconds)
        finally:
            stopping.cancel()

    async def stop(self) -> None:
        await self._server.stop(0)
        self._raw.close()

    @property
    def open_calls(self) -> int:
        return self._server.open_calls

    @property
    def open_connections(self) -> int:
        """Not told by grpcio."""
        return 0


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
