"""What the clients of fastserve's own services share: one connection, opened and closed alike."""

from types import TracebackType
from typing import Any, ClassVar, Self

from google.protobuf.message import Message

from fastserve.client.call import Call, reader
from fastserve.client.channel import TLS, Metadata
from fastserve.client.connection import Connection
from fastserve.client.metadata import message_as_dict
from fastserve.client.retry import RetryPolicy
from fastserve.client.session import DEFAULT_MAX_MESSAGE_BYTES, Session


class ServiceClient:
    """Calls one fastserve and waits for its answers.

    Arguments, errors and threads are those of `Client`; but a call is not repeated unless `retries`
    says so, since many of them change something.
    """

    # What stands before a method's name in its path.
    _service: ClassVar[str]

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

    def _call(
        self, method: str, request: Message, reply: type[Message], timeout: float | None
    ) -> dict[str, Any]:
        """The answer as plain values, under the names of its message."""
        call: Call[dict[str, Any]] = Call(
            self._service + method, request.SerializeToString(), reader(reply, message_as_dict)
        )
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
