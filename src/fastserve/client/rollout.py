"""The client of fastserve.v1.Rollouts: versions that get their traffic step by step."""

import json
from collections.abc import Mapping
from typing import Any

from fastserve._proto import fastserve_rollout_pb2 as pb
from fastserve.client.service_client import ServiceClient


class RolloutClient(ServiceClient):
    """The rollouts of one fastserve.

    Answers are plain values under the names of proto/fastserve_rollout.proto.
    """

    _service = "/fastserve.v1.Rollouts/"

    def start(
        self,
        model: str,
        rollout: Mapping[str, Any],
        *,
        reason: str = "",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Begins it; `rollout` has the keys of `[routing.rollout]`. Returns how it is.

        Errors: InvalidTensor when it makes no sense (the name of what is wrong comes first).
        """
        request = pb.StartRolloutRequest(model=model, rollout=json.dumps(rollout), reason=reason)
        return self._call("Start", request, pb.Rollout, timeout)

    def status(self, model: str = "", *, timeout: float | None = None) -> list[dict[str, Any]]:
        """The last rollout of the model, or of every one."""
        found = self._call(
            "Status", pb.RolloutStatusRequest(model=model), pb.RolloutStatusResponse, timeout
        )
        rollouts: list[dict[str, Any]] = found["rollouts"]
        return rollouts

    def pause(
        self, model: str, *, reason: str = "", timeout: float | None = None
    ) -> dict[str, Any]:
        """The route stays as it is, and nothing is judged."""
        return self._move("Pause", model, reason, timeout)

    def resume(
        self, model: str, *, reason: str = "", timeout: float | None = None
    ) -> dict[str, Any]:
        """Goes on with its step, or, if it waited for a word, with the next."""
        return self._move("Resume", model, reason, timeout)

    def promote(
        self, model: str, *, reason: str = "", timeout: float | None = None
    ) -> dict[str, Any]:
        """The candidate gets all requests, whatever the judge says."""
        return self._move("Promote", model, reason, timeout)

    def rollback(
        self, model: str, *, reason: str = "", timeout: float | None = None
    ) -> dict[str, Any]:
        """The baseline gets all requests."""
        return self._move("Rollback", model, reason, timeout)

    def history(self, model: str, *, timeout: float | None = None) -> list[dict[str, Any]]:
        """What has happened in the model's rollouts, the oldest first."""
        found = self._call(
            "History", pb.RolloutHistoryRequest(model=model), pb.RolloutHistoryResponse, timeout
        )
        changes: list[dict[str, Any]] = found["changes"]
        return changes

    def _move(self, method: str, model: str, reason: str, timeout: float | None) -> dict[str, Any]:
        request = pb.MoveRolloutRequest(model=model, reason=reason)
        return self._call(method, request, pb.Rollout, timeout)
