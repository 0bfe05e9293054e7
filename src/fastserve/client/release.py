"""The client of fastserve.v1.Release: routes of a running fastserve."""

from collections.abc import Mapping
from typing import Any

from fastserve._proto import fastserve_release_pb2 as pb
from fastserve.client.service_client import ServiceClient
from fastserve.errors import InvalidRoute


class ReleaseClient(ServiceClient):
    """The routes of one fastserve.

    Answers are plain values under the names of proto/fastserve_release.proto.
    `expected_generation`: StaleRouteTable is raised when another one stands, and nothing changes.
    """

    _service = "/fastserve.v1.Release/"

    def show_routes(self, model: str = "", *, timeout: float | None = None) -> list[dict[str, Any]]:
        """What stands for `model`, or for all that have a route."""
        request = pb.ShowRoutesRequest(model=model)
        found = self._call("ShowRoutes", request, pb.ShowRoutesResponse, timeout)
        routes: list[dict[str, Any]] = found["routes"]
        return routes

    def set_route(
        self,
        model: str,
        route: Mapping[str, Any],
        *,
        expected_generation: int | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Gives `model` the route {"entries": [{"version": 1, "weight": 90}, ...], ...}.

        Returns what stands then. Errors: InvalidRoute also for a field that routes do not have.
        """
        try:
            message = pb.Route(**route)
        except (TypeError, ValueError) as error:
            raise InvalidRoute(f"route: {error}") from None
        request = pb.SetRouteRequest(
            model=model, route=message, expected_generation=expected_generation, reason=reason
        )
        return self._call("SetRoute", request, pb.RouteState, timeout)

    def set_blue_green(
        self,
        model: str,
        version: int,
        *,
        expected_generation: int | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Everything to `version`; the version before stays loaded, for going back."""
        request = pb.SetRouteRequest(
            model=model, blue_green=version, expected_generation=expected_generation, reason=reason
        )
        return self._call("SetRoute", request, pb.RouteState, timeout)

    def back(
        self,
        model: str,
        *,
        expected_generation: int | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The other version of a blue/green route, else the route that stood before."""
        request = pb.SetRouteRequest(
            model=model, back=True, expected_generation=expected_generation, reason=reason
        )
        return self._call("SetRoute", request, pb.RouteState, timeout)

    def remove_route(
        self,
        model: str,
        *,
        expected_generation: int | None = None,
        reason: str = "",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """The version that serves answers all requests again."""
        request = pb.RemoveRouteRequest(
            model=model, expected_generation=expected_generation, reason=reason
        )
        return self._call("RemoveRoute", request, pb.RouteState, timeout)

    def explain_route(
        self,
        model: str,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Which version a request with this sticky key and these headers would get, and why."""
        request = pb.ExplainRouteRequest(model=model, key=key, headers=headers)
        return self._call("ExplainRoute", request, pb.ExplainRouteResponse, timeout)

    def route_results(self, model: str, *, timeout: float | None = None) -> dict[str, Any]:
        """What each version of a route of strategy ab did, and how far it is from the first one.

        Errors: InvalidTensor when the model's route is no A/B test.
        """
        request = pb.RouteResultsRequest(model=model)
        return self._call("RouteResults", request, pb.RouteResultsResponse, timeout)
