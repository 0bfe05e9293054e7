"""ShowConfig of fastserve.v1.Control: the settings in force, and where each came from."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from fastserve._proto import fastserve_control_pb2 as pb
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods
from fastserve.settings import Entry

SERVICE: Final = "fastserve.v1.Control"


class SettingsServicer:
    """Thread: the event loop's. Settings name files of secrets, and hold none."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._response = pb.ShowConfigResponse(
            settings=[
                pb.Setting(
                    path=entry.path,
                    value=msgspec.json.encode(entry.value).decode(),
                    source=entry.source,
                )
                for entry in entries
            ]
        )

    def methods(self) -> Iterator[Method]:
        return service_methods(SERVICE, {"ShowConfig": self.show_config})

    async def show_config(
        self, _request: pb.ShowConfigRequest, _context: CallContext
    ) -> pb.ShowConfigResponse:
        return self._response
