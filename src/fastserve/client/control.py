"""The client of fastserve.v1.Control: what operators do with a running fastserve."""

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from google.protobuf.message import Message

from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.channel import TLS, Metadata
from fastserve.client.connection import Connection
from fastserve.client.retry import RetryPolicy
from fastserve.client.session import DEFAULT_MAX_MESSAGE_BYTES, Session

T = TypeVar("T")

_SERVICE: Final = "/fastserve.v1.Control/"


class AuditVerdict(NamedTuple):
    """What a server found in its audit log; `problem` is the first thing wrong, with its place."""

    is_intact: bool
    records: int
    head: str
    problem: str


class Setting(NamedTuple):
    """One setting of a server: its path, its value as JSON, and where that came from."""

    path: str
    value: str
    source: str


class ControlClient:
    """Calls one fastserve and waits for its answers.

    Arguments, errors and threads are those of `Client`; but a call is not repeated unless `retries`
    says so, since most of them change something.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | None = None,
        tls: bool | TLS | None = None,
        timeout: float | None = None,
        retries: int | RetryPolicy = 0,
        metadata: Metadata = (),
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ) -> None:
        self._connection = Connection(
            Session(
                target,
                token=token,
                tls=tls,
                timeout=timeout,
                retries=retries,
                metadata=metadata,
                max_message_bytes=max_message_bytes,
                compression=None,
            )
        )

    def show_audit(
        self,
        *,
        last: int = 0,
        model: str = "",
        follow: bool = False,
        timeout: float | None = None,
    ) -> Generator[str, None, None]:
        """Lines of the audit log as they are in its files: the `last` ones (0: all), oldest first.

        Of one `model` only, if it is named. With `follow` those to come as well; such a stream ends
        with the server, or after `timeout`, if that is given.
        """
        request = pb.ShowAuditRequest(last=last, model=model, follow=follow)
        call = _call("ShowAudit", request, pb.AuditRecord, lambda m: str(m.json))
        return self._connection.stream(call, timeout, is_endless=follow)

    def verify_audit(self, *, timeout: float | None = None) -> AuditVerdict:
        """The server reads its whole audit log."""
        call = _call("VerifyAudit", pb.VerifyAuditRequest(), pb.VerifyAuditResponse, _verdict)
        return self._connection.run(call, timeout)

    def show_config(self, *, timeout: float | None = None) -> list[Setting]:
        """The settings in force."""
        call = _call("ShowConfig", pb.ShowConfigRequest(), pb.ShowConfigResponse, _settings)
        return self._connection.run(call, timeout)

    def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _call(method: str, request: Message, reply: type[Message], read: Callable[[Any], T]) -> Call[T]:
    return Call(_SERVICE + method, request.SerializeToString(), reader(reply, read))


def _verdict(message: pb.VerifyAuditResponse) -> AuditVerdict:
    return AuditVerdict(message.is_intact, message.records, message.head, message.problem)


def _settings(message: pb.ShowConfigResponse) -> list[Setting]:
    return [Setting(each.path, each.value, each.source) for each in message.settings]
