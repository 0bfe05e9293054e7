"""The service on grpc.aio: for people who need what grpcio has, and our transport's oracle.

Thin on purpose: messages are bytes on both sides, so grpcio neither parses nor builds any, and
every call goes through the same handlers as on the native transport. What differs is grpcio's own:
its flow control, its limits on headers, its wording of transport errors.

Thread: the event loop's.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from fastserve.config import Address, LimitSettings, SecuritySettings
from fastserve.errors import Unauthenticated
from fastserve.rpc.access import REFUSED, UNAUTHENTICATED, Access
from fastserve.rpc.calls import Calls
from fastserve.rpc.context import NO_DEADLINE, CallContext, Metadata
from fastserve.rpc.invocation import invoke
from fastserve.rpc.method_table import Method, MethodTable

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
# Not the caller's: written by HTTP/2 libraries about themselves.
_RESERVED: Final = frozenset({"user-agent"})

ServicerContext = grpc.aio.ServicerContext[bytes, bytes]


class AioServer:
    """A grpc.aio server over a method table."""

    def __init__(
        self, table: MethodTable, limits: LimitSettings, access: Access, calls: Calls
    ) -> None:
        self._handlers = _Handlers(table, access, calls)
        self._server = grpc.aio.server(
            handlers=(self._handlers,),
            options=[
                ("grpc.max_receive_message_length", limits.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", limits.max_concurrent_streams),
                ("grpc.max_metadata_size", limits.max_header_bytes),
                ("grpc.absolute_max_metadata_size", limits.max_header_bytes),
                # Two servers on one port would share its calls, and nobody would notice.
                ("grpc.so_reuseport", 0),
            ],
        )

    @property
    def open_calls(self) -> int:
        return self._handlers.open_calls

    def listen(self, address: Address, security: SecuritySettings) -> Address:
        """Binds, port 0 to any free one. Errors: OSError with the address."""
        credentials = _credentials(security)
        try:
            if credentials is None:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from error
        if address.unix_path:
            return address
        if port == 0:
            raise OSError(f"cannot listen on {address}")
        return Address(host=address.host, port=port)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls at once; cancels those in flight after `grace_seconds`."""
        await self._server.stop(grace_seconds)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, table: MethodTable, access: Access, calls: Calls) -> None:
        self._table = table
        self._access = access
        self._calls = calls
        self.open_calls = 0

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        # Tokens come first: without one, not even the list of methods can be probed.
        try:
            self._access.identify(tuple(details.invocation_metadata))
        except Unauthenticated:
            return grpc.stream_stream_rpc_method_handler(self._refuse(details.method))
        method = self._table.get(details.method)
        if method is None:
            return None
        return grpc.stream_stream_rpc_method_handler(self._serve(method))

    def _serve(
        self, method: Method
    ) -> Callable[[AsyncIterator[bytes], ServicerContext], Awaitable[None]]:
        """The handler that grpcio calls.

        All kinds are served as streams: on the wire they are the same, and how many messages
        a unary call has is then checked, and worded, in one place for both transports.
        """

        async def serve(requests: AsyncIterator[bytes], servicer: ServicerContext) -> None:
            self.open_calls += 1
            try:
                context = _AioContext(method.path, servicer)
                status = await invoke(
                    method,
                    requests,
                    servicer.write,
                    context,
                    self._access,
                    calls=self._calls,
                )
                if status.code == 0:
                    servicer.set_trailing_metadata(status.trailers)
                else:
                    await servicer.abort(_CODES[status.code], status.message, status.trailers)
            finally:
                self.open_calls -= 1

        return serve

    def _refuse(
        self, path: str
    ) -> Callable[[AsyncIterator[bytes], ServicerContext], Awaitable[None]]:
        async def refuse(_requests: AsyncIterator[bytes], servicer: ServicerContext) -> None:
            context = _AioContext(path, servicer)
            context.token = REFUSED
            with self._calls.follow(context, may_trace=False) as call:
                call.code = grpc.StatusCode.UNAUTHENTICATED.value[0]
            await servicer.abort(grpc.StatusCode.UNAUTHENTICATED, UNAUTHENTICATED)

        return refuse


class _AioContext(CallContext):
    def __init__(self, path: str, servicer: ServicerContext) -> None:
        remaining: float | None = servicer.time_remaining()
        deadline_ns = (
            NO_DEADLINE
            if remaining is None
            else time.monotonic_ns() + max(0, int(remaining * 1_000_000_000))
        )
        metadata: Metadata = tuple(
            (key, value)
            for key, value in servicer.invocation_metadata() or ()
            if key not in _RESERVED
        )
        super().__init__(path, servicer.peer(), deadline_ns, metadata)
        self._servicer = servicer

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        await self._servicer.send_initial_metadata(metadata)


def _credentials(security: SecuritySettings) -> grpc.ServerCredentials | None:
    if security.certificate is None or security.key is None:
        return None
    client_ca = _read(security.client_ca) if security.client_ca else None
    return grpc.ssl_server_credentials(
        [(_read(security.key), _read(security.certificate))],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )


def _read(path: Path) -> bytes:
    return path.read_bytes()
