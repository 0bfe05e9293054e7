"""The client of fastserve.v1.Shadow: candidates that run beside what a server serves."""

from types import TracebackType
from typing import Any, Final, Self

from google.protobuf.message import Message

from fastserve._proto import fastserve_shadow_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.channel import TLS, Metadata
from fastserve.client.connection import Connection
from fastserve.client.metadata import message_as_dict
from fastserve.client.retry import RetryPolicy
from fastserve.client.session import DEFAULT_MAX_MESSAGE_BYTES, Session

_SERVICE: Final = "/fastserve.v1.Shadow/"


class ShadowClient:
    """Calls one fastserve and waits for its answers.

    Arguments, errors and threads are those of `Client`; but a call is not repeated unless `retries`
    says so. Answers are plain values under the names of proto/fastserve_shadow.proto.
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

    def start(
        self,
        model: str,
        candidate: int,
        *,
        version: int = 0,
        share: float = 1.0,
        max_bytes: int = 0,
        seed: int = 0,
        absolute_tolerance: float | None = None,
        relative_tolerance: float | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Runs `candidate` on a share of what `version` serves; 0: of what answers by default."""
        request = pb.ShadowStartRequest(
            model=model,
            candidate=candidate,
            version=version,
            share=share,
            max_bytes=max_bytes,
            seed=seed,
            absolute_tolerance=absolute_tolerance,
            relative_tolerance=relative_tolerance,
        )
        return self._call("Start", request, pb.ShadowState, timeout)

    def stop(self, model: str, *, reason: str = "", timeout: float | None = None) -> dict[str, Any]:
        """Ends the model's shadow; gives its last report."""
        request = pb.ShadowStopRequest(model=model, reason=reason)
        return self._call("Stop", request, pb.ShadowState, timeout)

    def report(
        self, model: str = "", *, reset: bool = False, timeout: float | None = None
    ) -> list[dict[str, Any]]:
        """What the model's shadow, or that of each model, found; `reset` counts anew afterwards."""
        request = pb.ShadowReportRequest(model=model, reset=reset)
        found = self._call("Report", request, pb.ShadowReportResponse, timeout)
        shadows: list[dict[str, Any]] = found["shadows"]
        return shadows

    def _call(
        self, method: str, request: Message, reply: type[Message], timeout: float | None
    ) -> dict[str, Any]:
        call: Call[dict[str, Any]] = Call(
            _SERVICE + method, request.SerializeToString(), reader(reply, message_as_dict)
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
