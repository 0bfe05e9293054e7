"""The client of fastserve.v1.Capture: what a server captured, as a training set."""

from collections.abc import Generator
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from fastserve._proto import fastserve_capture_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.channel import TLS, Metadata
from fastserve.client.connection import Connection
from fastserve.client.metadata import message_as_dict
from fastserve.client.retry import RetryPolicy
from fastserve.client.session import DEFAULT_MAX_MESSAGE_BYTES, Session

_SERVICE: Final = "/fastserve.v1.Capture/"


class CaptureSummary(NamedTuple):
    """What an export gave. `skipped` are files that could not be read, and why."""

    rows: int
    labelled_rows: int
    files: int
    skipped: tuple[str, ...]


class CaptureClient:
    """Calls one fastserve and waits for its answers.

    Arguments, errors and threads are those of `Client`.
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

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Counters since the server's start, and what its folder has, by version."""
        call = Call(
            _SERVICE + "Status",
            pb.CaptureStatusRequest().SerializeToString(),
            reader(pb.CaptureStatusResponse, message_as_dict),
        )
        return self._connection.run(call, timeout)

    def export(
        self,
        model: str,
        *,
        version: int = 0,
        since: float = 0.0,
        until: float = 0.0,
        with_labels: bool = False,
        only_labelled: bool = False,
        csv: bool = False,
        timeout: float | None = None,
    ) -> Generator[bytes | CaptureSummary, None, None]:
        """The bytes of one file in pieces, then a CaptureSummary: without it the file is cut off.

        Times are seconds since 1970, 0 for no bound.
        """
        request = pb.CaptureExportRequest(
            model=model,
            version=version,
            since=since,
            until=until,
            with_labels=with_labels,
            only_labelled=only_labelled,
            csv=csv,
        )
        call = Call(
            _SERVICE + "Export",
            request.SerializeToString(),
            reader(pb.CaptureExportResponse, _part),
        )
        return self._connection.stream(call, timeout, is_endless=False)

    def close(self) -> None:
        """Ends the connection."""
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


def _part(message: pb.CaptureExportResponse) -> bytes | CaptureSummary:
    if not message.HasField("summary"):
        return bytes(message.data)
    summary = message.summary
    return CaptureSummary(
        summary.rows, summary.labelled_rows, summary.files, tuple(summary.skipped)
    )
