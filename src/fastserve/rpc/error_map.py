"""From an exception to what the caller is told. Total: there is no exception that it does not map.

Ours keep their code and message. Whatever else a handler raises is a bug: the caller gets a fixed
text with a request id, the log gets one line with the id and the traceback.
"""

import asyncio
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.errors import FastserveError, ServerDraining, from_core
from fastserve.observe.logs import get_logger
from fastserve.rpc.context import CallContext

PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
# Longer ones are cut: a status travels in a header, whose size is bounded by the peer.
MAX_MESSAGE_CHARACTERS: Final = 2_000


class WireStatus(msgspec.Struct, frozen=True):
    """A call's end: gRPC's code, message and trailers."""

    code: int = 0
    message: str = ""
    trailers: tuple[tuple[str, str | bytes], ...] = ()


OK: Final = WireStatus()
# As grpcio says them, so that both transports agree.
UNKNOWN_METHOD: Final = WireStatus(12, "Method not found!")
OVERDUE: Final = WireStatus(4, "Deadline Exceeded")
CANCELLED: Final = WireStatus(1, "the call was cancelled")

_log = get_logger("rpc")


def to_status(error: BaseException, context: CallContext) -> WireStatus:
    """What the caller of `context` is told about `error`; logs it when it is a bug."""
    if isinstance(error, core.CoreError):
        error = from_core(error)
    if isinstance(error, FastserveError):
        trailers: tuple[tuple[str, str | bytes], ...] = ()
        if error.retry_after_ns > 0:
            # Rounded up: a pushback of 0 would mean "at once".
            trailers = ((PUSHBACK_KEY, str(-(-error.retry_after_ns // 1_000_000))),)
        elif isinstance(error, ServerDraining):
            # Another server has to be asked: a retry here would meet the same answer.
            trailers = ((PUSHBACK_KEY, "-1"),)
        message = error.message[:MAX_MESSAGE_CHARACTERS]
        return WireStatus(error.code, message, (*context.trailers, *trailers))
    if isinstance(error, asyncio.CancelledError):
        return CANCELLED
    if isinstance(error, TimeoutError):
        return OVERDUE
    _log.error(
        "handler failed",
        path=context.path,
        peer=context.peer,
        request_id=context.request_id,
        exc_info=error,
    )
    return WireStatus(
        13,
        f"internal error; the server's log has the details under request id {context.request_id}",
        tuple(context.trailers),
    )
