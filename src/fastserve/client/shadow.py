"""The client of fastserve.v1.Shadow: candidates that run beside what a server serves."""

from typing import Any

from fastserve._proto import fastserve_shadow_pb2 as pb
from fastserve.client.service_client import ServiceClient


class ShadowClient(ServiceClient):
    """The shadows of one fastserve.

    Answers are plain values under the names of proto/fastserve_shadow.proto.
    """

    _service = "/fastserve.v1.Shadow/"

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
