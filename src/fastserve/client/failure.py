"""Failures of calls: a gRPC status, as grpcio reports it, to the product's error classes."""

# ruff: noqa: N818 - as in fastserve.errors, the names say what is wrong

from typing import Any, Final

import grpc

from fastserve.errors import FastserveError, from_status

# How grpcio words a connection that could not be made, which is UNAVAILABLE like a server's own
# refusal. Sources: grpc/src/core load_balancing/pick_first, client_channel resolver errors.
_UNREACHABLE: Final = (
    "failed to connect to all addresses",
    "errors resolving ",
    "DNS resolution failed",
    "name resolution",
    "empty address list",
)
# RESOURCE_EXHAUSTED for a message's size: it will not be smaller the next time.
_TOO_LARGE: Final = "message larger than max"
RESOURCE_EXHAUSTED: Final = 8
UNAVAILABLE: Final = 14
_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"


class ServerUnreachable(FastserveError, ConnectionError):
    """No connection could be made: nothing listens, or the name or the certificate is wrong."""

    code = 14
    reason = "unreachable"


class InvalidReply(FastserveError, ValueError):
    """The server's answer breaks the protocol: sizes, shapes or datatypes do not fit together."""

    code = 13
    reason = "invalid_reply"


class RequestFailed(FastserveError, RuntimeError):
    """One request of a stream failed and the stream goes on.

    The protocol carries the text and not the status there, so the code is UNKNOWN (2).
    """

    code = 2
    reason = "stream"

    def __init__(self, message: str, *, request_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id


class Failure:
    """One failed attempt: its status, and what the server said about trying again."""

    __slots__ = ("_cause", "code", "message", "pushback_ms")

    def __init__(self, error: grpc.RpcError) -> None:
        call: Any = error  # both of grpcio's error classes are calls, the base class is not
        self._cause = error
        self.code: int = call.code().value[0]
        self.message: str = call.details() or call.code().name
        self.pushback_ms = _read_pushback(call.trailing_metadata())

    @property
    def may_retry(self) -> bool:
        """The status is one that another attempt may cure, and the server did not forbid it."""
        if self.pushback_ms is not None and self.pushback_ms < 0:
            return False
        if self.code == RESOURCE_EXHAUSTED:
            return _TOO_LARGE not in self.message
        return self.code == UNAVAILABLE

    def to_error(self, target: str) -> FastserveError:
        """The exception to raise; grpcio's own is its cause."""
        if self.code == UNAVAILABLE and self.message.startswith(_UNREACHABLE):
            found: FastserveError = ServerUnreachable(
                f"cannot reach {target}: {self.message}; "
                "check the endpoint and that the server runs"
            )
        else:
            retry_after_ns = max(self.pushback_ms or 0, 0) * 1_000_000
            found = from_status(self.code, self.message, retry_after_ns=retry_after_ns)
            if found.code != self.code:  # a status that no class stands for keeps its number
                found.code = self.code  # type: ignore[misc]
        found.__cause__ = self._cause
        return found


def _read_pushback(trailers: Any) -> int | None:
    """Milliseconds; negative when the server forbids another try or says something unreadable.

    Source: gRFC A6, "Pushback": a value that is not a number means do not retry.
    """
    for key, value in trailers or ():
        if key == _PUSHBACK_KEY:
            try:
                return int(value)
            except ValueError:
                return -1
    return None
