"""fastserve.v1.Shadow: candidates that run beside what is served."""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from fastserve._core import core
from fastserve._proto import fastserve_shadow_pb2 as pb
from fastserve.routing.shadow import DEFAULT_MAX_BYTES, RunningShadow, Shadows, ShadowSpec
from fastserve.routing.shadow_report import EDGES, differences, lines
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods

SERVICE: Final = "fastserve.v1.Shadow"


class Recorder(Protocol):
    """Where changes are recorded (fastserve.rpc.operations.Operations)."""

    async def note(
        self, context: CallContext, action: str, name: str, number: int, after: dict[str, Any]
    ) -> None: ...


class ShadowServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, shadows: Shadows, recorder: Recorder) -> None:
        self._shadows = shadows
        self._recorder = recorder

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE, {"Start": self.start, "Stop": self.stop, "Report": self.report}
        )

    async def start(self, request: pb.ShadowStartRequest, context: CallContext) -> pb.ShadowState:
        asked = {
            name: getattr(request, name)
            for name in ("absolute_tolerance", "relative_tolerance")
            if request.HasField(name)
        }
        spec = ShadowSpec(
            model=request.model,
            candidate=request.candidate,
            version=request.version,
            share=request.share,
            max_bytes=request.max_bytes or DEFAULT_MAX_BYTES,
            seed=request.seed,
            **asked,
        )
        shadow = await self._shadows.start(spec)
        after = msgspec.to_builtins(spec)
        await self._recorder.note(context, "shadow.start", spec.model, spec.candidate, after)
        return state_message(shadow)

    async def stop(self, request: pb.ShadowStopRequest, context: CallContext) -> pb.ShadowState:
        was_running = self._shadows.find(request.model).is_running
        shadow = await self._shadows.stop(request.model, request.reason)
        if was_running:
            spec = shadow.spec
            after = msgspec.to_builtins(shadow.evidence()) | {"reason": shadow.ended}
            await self._recorder.note(context, "shadow.stop", spec.model, spec.candidate, after)
        return state_message(shadow)

    async def report(
        self, request: pb.ShadowReportRequest, context: CallContext
    ) -> pb.ShadowReportResponse:
        found = [self._shadows.find(request.model)] if request.model else list(self._shadows)
        answer = pb.ShadowReportResponse(shadows=[state_message(each) for each in found])
        if request.reset:
            for each in found:
                each.reset()
                spec = each.spec
                await self._recorder.note(context, "shadow.reset", spec.model, spec.candidate, {})
        return answer


def state_message(shadow: RunningShadow) -> pb.ShadowState:
    spec = shadow.spec
    report = shadow.report()
    return pb.ShadowState(
        model=spec.model,
        version=shadow.live.number,
        candidate=spec.candidate,
        share=spec.share,
        is_running=shadow.is_running,
        ended=shadow.ended,
        seconds=shadow.seconds,
        offered=report.offered,
        compared=report.compared,
        dropped=report.dropped,
        failed=report.failed,
        waiting=report.waiting,
        differing=report.differing,
        first_error=report.first_error,
        outputs=[_output_message(report, i) for i in range(len(report.outputs))],
        lines=lines(shadow, report),
    )


def _output_message(report: core.ShadowReport, index: int) -> pb.ShadowOutput:
    fields = report.outputs[index]._asdict()
    worst = [pb.ShadowExample(**example._asdict()) for example in fields.pop("worst")]
    found = differences(report, index)
    if found is None:
        return pb.ShadowOutput(worst=worst, **fields)
    return pb.ShadowOutput(
        worst=worst,
        quantiles=found.quantiles,
        histogram=pb.ShadowHistogram(edges=EDGES, absolute=found.absolute, relative=found.relative),
        **fields,
    )
