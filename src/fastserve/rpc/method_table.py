"""Which coroutine answers which path: built from the descriptors, served by any transport."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import msgspec
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from fastserve._proto import POOL
from fastserve.rpc.context import CallContext

# A request's bytes; a view of a large one, where it lies.
Received: TypeAlias = bytes | memoryview
# Errors: google.protobuf.message.DecodeError, FastserveError.
Decoder: TypeAlias = Callable[[Received], Any]
# Handlers, by what the peer sends and gets.
Reply: TypeAlias = Message | bytes
Unary: TypeAlias = Callable[[Any, CallContext], Awaitable[Reply]]
ServerStreaming: TypeAlias = Callable[[Any, CallContext], AsyncIterator[Reply]]
ClientStreaming: TypeAlias = Callable[[AsyncIterator[Any], CallContext], Awaitable[Reply]]
BidiStreaming: TypeAlias = Callable[[AsyncIterator[Any], CallContext], AsyncIterator[Reply]]
Handler: TypeAlias = Unary | ServerStreaming | ClientStreaming | BidiStreaming


class Method(msgspec.Struct, frozen=True):
    """One RPC. When `is_raw`, messages reach the handler, and come from it, as bytes.

    With a `decoder` the handler gets what that makes of a request's bytes.
    """

    path: str
    is_client_streaming: bool
    is_server_streaming: bool
    request_type: type[Message]
    response_type: type[Message]
    handler: Handler
    is_raw: bool = False
    decoder: Decoder | None = None

    def decode(self, data: Received) -> Any:
        """Errors: google.protobuf.message.DecodeError."""
        if self.decoder is not None:
            return self.decoder(data)
        # Protobuf takes a memoryview too, and copies it.
        return data if self.is_raw else self.request_type.FromString(cast("bytes", data))

    def encode(self, message: Any) -> bytes:
        if self.is_raw:
            return bytes(message)
        # Maps in one order: the same answer is the same bytes.
        data: bytes = message.SerializeToString(deterministic=True)
        return data


class MethodTable:
    """All RPCs of a server by path."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods = {method.path: method for method in methods}

    def get(self, path: str) -> Method | None:
        return self._methods.get(path)

    def __iter__(self) -> Iterator[Method]:
        return iter(self._methods.values())

    @property
    def services(self) -> list[str]:
        """Full names, sorted."""
        return sorted({path.split("/")[1] for path in self._methods})


def service_methods(
    service: str,
    handlers: Mapping[str, Handler],
    *,
    raw: frozenset[str] = frozenset(),
    decoders: Mapping[str, Decoder] = MappingProxyType({}),
) -> Iterator[Method]:
    """The methods of a service in the pool that have a handler, by RPC name.

    Errors: LookupError for a handler without an RPC, which is a bug.
    """
    descriptor = POOL.FindServiceByName(service)
    unknown = handlers.keys() - descriptor.methods_by_name.keys()
    if unknown:
        raise LookupError(f"{service} has no RPC named {', '.join(sorted(unknown))}")
    for rpc in descriptor.methods:
        if rpc.name in handlers:
            yield Method(
                path=f"/{service}/{rpc.name}",
                is_client_streaming=rpc.client_streaming,
                is_server_streaming=rpc.server_streaming,
                request_type=GetMessageClass(rpc.input_type),
                response_type=GetMessageClass(rpc.output_type),
                handler=handlers[rpc.name],
                is_raw=rpc.name in raw,
                decoder=decoders.get(rpc.name),
            )
