"""Runs one call: bytes in, handler, bytes out, status. The same for every transport."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from google.protobuf.message import DecodeError

from fastserve.errors import InvalidTensor, Unsupported
from fastserve.rpc.access import Access
from fastserve.rpc.calls import Calls
from fastserve.rpc.context import CallContext
from fastserve.rpc.error_map import WireStatus, to_status
from fastserve.rpc.method_table import (
    BidiStreaming,
    ClientStreaming,
    Method,
    Received,
    ServerStreaming,
    Unary,
)


async def invoke(
    method: Method,
    requests: AsyncIterator[Received],
    send: Callable[[bytes], Awaitable[None]],
    context: CallContext,
    access: Access,
    *,
    calls: Calls,
) -> WireStatus:
    """The call's status, after everything that the handler had to say was sent.

    Nothing of a call is read before `access` has admitted it, and the handler knows its actor.

    Every call of the control plane comes here, so `calls` follows it from here.

    `send` returns when the peer may be sent more. Errors: asyncio.CancelledError alone, when the
    task that runs this is cancelled; anything else is mapped.
    """
    with calls.follow(context) as call:
        status = await _answer(method, requests, send, context, access)
        call.code = status.code
        return status


async def _answer(
    method: Method,
    requests: AsyncIterator[Received],
    send: Callable[[bytes], Awaitable[None]],
    context: CallContext,
    access: Access,
) -> WireStatus:
    try:
        access.admit(context)
        if method.is_client_streaming:
            argument: Any = _decoded(method, requests)
        else:
            argument = await _single(method, requests)
        if method.is_server_streaming:
            stream = cast("ServerStreaming | BidiStreaming", method.handler)(argument, context)
            async for message in stream:
                await send(method.encode(message))
        else:
            unary = cast("Unary | ClientStreaming", method.handler)
            await send(method.encode(await unary(argument, context)))
    except Exception as error:  # noqa: BLE001 - the one place where every error gets its status
        return to_status(error, context)
    return WireStatus(trailers=tuple(context.trailers))


async def _single(method: Method, requests: AsyncIterator[Received]) -> Any:
    received: list[Received] = []
    rpc = method.path.rpartition("/")[2]
    async for data in requests:
        received.append(data)
        if len(received) > 1:
            raise Unsupported(f"{rpc} takes one request message and got a second one")
    if not received:
        # grpcio ends the messages of a cancelled call as if it had half-closed, and cancels its
        # task in the loop's next turn.
        await asyncio.sleep(0)
        raise Unsupported(f"{rpc} takes one request message and got none")
    return _decode(method, received[0])


async def _decoded(method: Method, requests: AsyncIterator[Received]) -> AsyncIterator[Any]:
    async for data in requests:
        yield _decode(method, data)


def _decode(method: Method, data: Received) -> Any:
    try:
        return method.decode(data)
    except DecodeError as error:
        name = method.request_type.DESCRIPTOR.full_name
        raise InvalidTensor(f"{len(data)} bytes that are not a valid {name} message") from error
