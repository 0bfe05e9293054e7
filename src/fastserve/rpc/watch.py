"""fastserve.v1.Watch: drift, profiles and alarms for operators."""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from fastserve._proto import fastserve_watch_pb2 as pb
from fastserve.drift.monitor import DriftMonitor
from fastserve.drift.profile import MAX_PROFILE_BYTES
from fastserve.drift.version_watch import VersionWatch
from fastserve.drift.view import Wanted, view
from fastserve.errors import InvalidConfig
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods
from fastserve.rpc.watch_messages import alarm_message, profile_message, version_message

SERVICE: Final = "fastserve.v1.Watch"


class Recorder(Protocol):
    """Where changes are recorded (fastserve.rpc.operations.Operations)."""

    async def note(
        self, context: CallContext, action: str, name: str, number: int, after: dict[str, Any]
    ) -> None: ...


class WatchServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, monitor: DriftMonitor, recorder: Recorder) -> None:
        self._monitor = monitor
        self._recorder = recorder

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {
                "ShowDrift": self.show_drift,
                "FreezeProfile": self.freeze_profile,
                "PutProfile": self.put_profile,
                "ListAlarms": self.list_alarms,
            },
        )

    async def show_drift(
        self, request: pb.ShowDriftRequest, _context: CallContext
    ) -> pb.ShowDriftResponse:
        wanted = Wanted(
            features=tuple(request.features),
            count=request.top,
            window_seconds=request.window_seconds,
            has_histograms=request.histograms,
        )

        def read(watch: VersionWatch) -> pb.VersionDrift:
            return version_message(view(watch, wanted))

        found = await self._monitor.look(request.model, request.version, read)
        return pb.ShowDriftResponse(versions=found)

    async def freeze_profile(
        self, request: pb.FreezeProfileRequest, context: CallContext
    ) -> pb.ProfileState:
        asked = [bool(request.rows), bool(request.from_version), request.forget]
        if sum(asked) != 1:
            raise InvalidConfig("expected exactly one of rows, from_version and forget")
        model, number = request.model, request.version
        if request.forget:
            watch = await self._monitor.forget(model, number)
        elif request.from_version:
            watch = await self._monitor.freeze_from(model, number, request.from_version)
        else:
            watch = await self._monitor.freeze(model, number, request.rows)
        after = {
            "rows": request.rows,
            "from_version": request.from_version,
            "forget": request.forget,
        }
        return await self._changed(
            context, "drift.freeze", watch, {key: value for key, value in after.items() if value}
        )

    async def put_profile(
        self, request: pb.PutProfileRequest, context: CallContext
    ) -> pb.ProfileState:
        if len(request.profile) > MAX_PROFILE_BYTES:
            raise InvalidConfig(
                f"the profile has {len(request.profile)} bytes, more than {MAX_PROFILE_BYTES}"
            )
        watch = await self._monitor.put(request.model, request.version, request.profile)
        assert watch.profile is not None  # noqa: S101 - it was put there
        origin = watch.profile.origin
        after = {"rows": watch.profile.rows, "origin": origin.kind, "source": origin.source}
        return await self._changed(context, "drift.profile", watch, after)

    async def list_alarms(
        self, request: pb.ListAlarmsRequest, _context: CallContext
    ) -> pb.ListAlarmsResponse:
        book = self._monitor.alarms
        wanted = request.model
        return pb.ListAlarmsResponse(
            standing=[alarm_message(a) for a in book.standing if wanted in ("", a.model)],
            recent=[
                alarm_message(a)
                for a in (book.recent if request.history else ())
                if wanted in ("", a.model)
            ],
        )

    async def _changed(
        self, context: CallContext, action: str, watch: VersionWatch, after: dict[str, Any]
    ) -> pb.ProfileState:
        version = watch.version
        await self._recorder.note(
            context, action, version.model, version.number, msgspec.to_builtins(after)
        )
        return profile_message(watch)
