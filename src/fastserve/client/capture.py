"""The client of fastserve.v1.Capture: what a server captured, as a training set."""

from collections.abc import Generator
from typing import Any, NamedTuple

from fastserve._proto import fastserve_capture_pb2 as pb
from fastserve.client.call import Call, reader
from fastserve.client.service_client import ServiceClient


class CaptureSummary(NamedTuple):
    """What an export gave. `skipped` are files that could not be read, and why."""

    rows: int
    labelled_rows: int
    files: int
    skipped: tuple[str, ...]


class CaptureClient(ServiceClient):
    """What one fastserve captured."""

    _service = "/fastserve.v1.Capture/"

    def status(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Counters since the server's start, and what its folder has, by version."""
        return self._call("Status", pb.CaptureStatusRequest(), pb.CaptureStatusResponse, timeout)

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
            self._service + "Export",
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
