"""The product's errors: one tree, each class with its gRPC status code and its reason label.

Every class also inherits the builtin that fits, so callers may catch either. Codes are plain
numbers: nothing here needs gRPC to be installed. `from_status` and `from_core` turn a status of the
wire or of the compiled core into the class that stands for it.
"""

# ruff: noqa: N818 - the names say what is wrong; "Error" at the end of each would say nothing more

from typing import ClassVar, Final, Protocol

_SHOWN_BYTES: Final = 128
_DEL: Final = 0x7F


class FastserveError(Exception):
    """The root of the tree. `code` is a gRPC status number, `reason` a bounded metric label."""

    code: ClassVar[int] = 13
    reason: ClassVar[str] = "internal"

    def __init__(self, message: str, *, retry_after_ns: int = 0) -> None:
        super().__init__(message)
        # When the caller may try again, as the server predicts it; 0 when there is no advice.
        self.retry_after_ns = retry_after_ns

    @property
    def message(self) -> str:
        """What is said to the caller: what was wrong, with the name, the got and the expected."""
        return str(self.args[0])


class InvalidTensor(FastserveError, ValueError):
    """A request whose tensors, names or parameters do not fit the model."""

    code = 3
    reason = "invalid"


class InvalidRoute(FastserveError, ValueError):
    """A route that names unknown versions or whose weights make no sense."""

    code = 3
    reason = "invalid"


class InvalidConfig(FastserveError, ValueError):
    """Settings or a model's configuration that are refused."""

    code = 3
    reason = "invalid"


class ModelNotFound(FastserveError, LookupError):
    """No model of that name, or none of its versions can answer."""

    code = 5
    reason = "not_found"


class VersionNotFound(FastserveError, LookupError):
    """The model is there, the version is not."""

    code = 5
    reason = "not_found"


class VersionAlreadyLoaded(FastserveError, RuntimeError):
    """The version is loaded and loading it again was not asked for."""

    code = 6
    reason = "already_loaded"


class VersionFailed(FastserveError, RuntimeError):
    """The version could not be loaded; the message keeps the reason."""

    code = 9
    reason = "version_failed"


class LastReadyVersion(FastserveError, RuntimeError):
    """Refuses to take away the only version that answers."""

    code = 9
    reason = "last_ready"


class RoutedVersion(FastserveError, RuntimeError):
    """Refuses to take away a version that a route names."""

    code = 9
    reason = "routed"


class StaleRouteTable(FastserveError, RuntimeError):
    """The route table changed since the caller read it."""

    code = 10
    reason = "stale"


class RolloutConflict(FastserveError, RuntimeError):
    """The model's rollout is not in a state in which that can be done."""

    code = 9
    reason = "rollout_conflict"


class QueueFull(FastserveError, RuntimeError):
    """The queue's bound of rows or bytes is reached."""

    code = 8
    reason = "queue_full"


class Overloaded(FastserveError, RuntimeError):
    """The answer is predicted to come after the deadline, or a limit of the server is reached."""

    code = 8
    reason = "overloaded"


class VersionNotReady(FastserveError, ConnectionError):
    """The version is known and cannot answer now."""

    code = 14
    reason = "not_ready"


class NotKept(FastserveError, OSError):
    """The change could not be made durable, and was not made."""

    code = 14
    reason = "not_kept"


class ServerDraining(FastserveError, ConnectionError):
    """The server is going away; another one should be asked."""

    code = 14
    reason = "draining"


class DeadlineExceeded(FastserveError, TimeoutError):
    """The call's deadline passed."""

    code = 4
    reason = "expired"


class RequestCancelled(FastserveError, RuntimeError):
    """The caller took the request back."""

    code = 1
    reason = "cancelled"


class Unauthenticated(FastserveError, PermissionError):
    """No token, or one that is not known."""

    code = 16
    reason = "unauthenticated"


class Forbidden(FastserveError, PermissionError):
    """The token is known and may not do this."""

    code = 7
    reason = "forbidden"


class ArtifactCorrupt(FastserveError, ValueError):
    """A file of the repository or of the server's state is damaged."""

    code = 15
    reason = "corrupt"


class Unsupported(FastserveError, NotImplementedError):
    """What the server does not do."""

    code = 12
    reason = "unsupported"


class ExecutionFailed(FastserveError, RuntimeError):
    """The model's run failed."""

    code = 13
    reason = "execution"


# For each status code the class that stands for it when only the code is known. Codes that none of
# ours uses (UNKNOWN, OUT_OF_RANGE, and numbers to come) are an ExecutionFailed.
_BY_CODE: Final[dict[int, type[FastserveError]]] = {
    1: RequestCancelled,
    3: InvalidTensor,
    4: DeadlineExceeded,
    5: ModelNotFound,
    6: VersionAlreadyLoaded,
    7: Forbidden,
    8: Overloaded,
    9: VersionFailed,
    10: StaleRouteTable,
    12: Unsupported,
    13: ExecutionFailed,
    14: VersionNotReady,
    15: ArtifactCorrupt,
    16: Unauthenticated,
}


class _CoreStatus(Protocol):
    """What the compiled core's exception offers; named here so that this module imports nothing."""

    code: int
    args: tuple[object, ...]


def quoted(text: str) -> str:
    """A caller's text, fit to be repeated: one bounded line, as csrc/fastserve/base/quoted.h."""
    data = text.encode(errors="replace")
    shown = data[:_SHOWN_BYTES].decode(errors="replace")
    line = "".join("?" if c < " " or ord(c) == _DEL else c for c in shown)
    return f"'{line}...'" if len(data) > _SHOWN_BYTES else f"'{line}'"


def from_status(code: int, message: str, *, retry_after_ns: int = 0) -> FastserveError:
    """The error of the tree for a gRPC status code that is not OK."""
    return _BY_CODE.get(code, ExecutionFailed)(message, retry_after_ns=retry_after_ns)


def from_core(error: _CoreStatus) -> FastserveError:
    """The error of the tree for an exception of the compiled core."""
    retry_after_ns = int(getattr(error, "retry_after_ns", 0) or 0)
    message = str(error.args[0]) if error.args else "the core gave no reason"
    return from_status(error.code, message, retry_after_ns=retry_after_ns)
