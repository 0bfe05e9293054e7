"""The client of fastserve.v1.Watch: drift, reference profiles and alarms of a running fastserve."""

import json
from collections.abc import Sequence
from typing import Any

from fastserve._proto import fastserve_watch_pb2 as pb
from fastserve.client.service_client import ServiceClient


class WatchClient(ServiceClient):
    """Drift, reference profiles and alarms of one fastserve.

    Answers are plain values under the names of proto/fastserve_watch.proto.
    """

    _service = "/fastserve.v1.Watch/"

    def show_drift(
        self,
        model: str = "",
        *,
        version: int = 0,
        features: Sequence[str] = (),
        top: int = 0,
        window_seconds: int = 0,
        histograms: bool = False,
        timeout: float | None = None,
    ) -> list[dict[str, Any]]:
        """Scores of the features of each version, most severe first; `top` 0: all of them.

        `window_seconds` 0: the last window that was judged.
        """
        request = pb.ShowDriftRequest(
            model=model,
            version=version,
            features=features,
            top=top,
            window_seconds=window_seconds,
            histograms=histograms,
        )
        found = self._call("ShowDrift", request, pb.ShowDriftResponse, timeout)
        versions: list[dict[str, Any]] = found["versions"]
        return versions

    def freeze_profile(
        self,
        model: str,
        *,
        version: int = 0,
        rows: int = 0,
        from_version: int = 0,
        forget: bool = False,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Makes a profile of the next `rows` rows, or of what another version has seen.

        With `forget` the profile that the server keeps is dropped. Exactly one of the three.
        """
        request = pb.FreezeProfileRequest(
            model=model, version=version, rows=rows, from_version=from_version, forget=forget
        )
        return self._call("FreezeProfile", request, pb.ProfileState, timeout)

    def put_profile(
        self, model: str, profile: bytes, *, version: int = 0, timeout: float | None = None
    ) -> dict[str, Any]:
        """Gives the version (0: the newest) the profile in the bytes of a `reference.profile`."""
        request = pb.PutProfileRequest(model=model, version=version, profile=profile)
        return self._call("PutProfile", request, pb.ProfileState, timeout)

    def list_alarms(
        self, model: str = "", *, history: bool = False, timeout: float | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """`standing` alarms, and with `history` the `recent` changes, oldest first."""
        request = pb.ListAlarmsRequest(model=model, history=history)
        found: dict[str, list[dict[str, Any]]] = self._call(
            "ListAlarms", request, pb.ListAlarmsResponse, timeout
        )
        for alarm in (*found["standing"], *found["recent"]):
            alarm["evidence"] = json.loads(alarm["evidence"])
        return found
