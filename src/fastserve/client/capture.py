"""The client of fastserve.v1.Capture: what a server captured, as a training set."""

from collections.abc import Generator
from typing import Any, Final, NamedTuple

from fastserve._proto import fastserve_capture_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.metadata import message_as_dict
from fastserve.client.service_client import ServiceClient

_SERVICE: Final = "/fastserve.v1.Capture/"


class CaptureSummary(NamedTuple):
    """What an export gave. `skipped` are files that could not be read, and why."""

    rows: int
    labelled_rows: int
    files: int
    skipped: tuple[str, ...]


class CaptureClient(ServiceClient):
    """What one fastserve captured."""

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


def _part(message: pb.CaptureExportResponse) -> bytes | CaptureSummary:
    if not message.HasField("summary"):
        return bytes(message.data)
    summary = message.summary
    return CaptureSummary(
        summary.rows, summary.labelled_rows, summary.files, tuple(summary.skipped)
    )
