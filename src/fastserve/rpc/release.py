"""fastserve.v1.Release: routes for operators."""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from fastserve._proto import fastserve_release_pb2 as pb
from fastserve.errors import InvalidRoute, ModelNotFound
from fastserve.models.catalog import Catalog
from fastserve.routing.bandits import Bandits
from fastserve.routing.experiments import Experiments
from fastserve.routing.explanation import explain
from fastserve.routing.route import default_seed
from fastserve.routing.router import Author, Router, stand_in
from fastserve.rpc.context import CallContext
from fastserve.rpc.method_table import Method, service_methods
from fastserve.rpc.release_messages import (
    bandit_message,
    read_route,
    results_message,
    rule_message,
    state_message,
)

SERVICE: Final = "fastserve.v1.Release"
_MAX_REASON: Final = 1024
_MAX_HEADERS: Final = 1000


class Strategies(Protocol):
    """What looks at routes by their strategy."""

    @property
    def bandits(self) -> Bandits: ...

    @property
    def experiments(self) -> Experiments: ...


class ReleaseServicer:
    """Thread: the event loop's. Errors: FastserveError, as the error map knows them."""

    def __init__(self, router: Router, catalog: Catalog, strategies: Strategies) -> None:
        self._router = router
        self._catalog = catalog
        self._bandits = strategies.bandits
        self._experiments = strategies.experiments

    def methods(self) -> Iterator[Method]:
        return service_methods(
            SERVICE,
            {
                "ShowRoutes": self.show_routes,
                "SetRoute": self.set_route,
                "RemoveRoute": self.remove_route,
                "ExplainRoute": self.explain_route,
                "RouteResults": self.route_results,
            },
        )

    async def show_routes(
        self, request: pb.ShowRoutesRequest, _context: CallContext
    ) -> pb.ShowRoutesResponse:
        if request.model:
            self._catalog.model(request.model)
        models = [request.model] if request.model else sorted(self._router.routes)
        return pb.ShowRoutesResponse(routes=[self._state(model) for model in models])

    async def set_route(self, request: pb.SetRouteRequest, context: CallContext) -> pb.RouteState:
        model = request.model
        self._catalog.model(model)
        expected = _expected(request)
        author, reason = _author(context), _reason(request.reason)
        match request.WhichOneof("change"):
            case "route":
                standing = self._router.route(model)
                seed = default_seed(model) if standing is None else standing.seed
                route = read_route(model, request.route, seed=seed)
                await self._router.set(model, route, expected, actor=author, reason=reason)
            case "blue_green":
                await self._router.set_blue_green(
                    model, request.blue_green, expected, actor=author, reason=reason
                )
            case "back" if request.back:
                await self._router.back(model, expected, actor=author, reason=reason)
            case _:
                raise InvalidRoute("expected one of route, blue_green and back")
        return self._state(model)

    async def remove_route(
        self, request: pb.RemoveRouteRequest, context: CallContext
    ) -> pb.RouteState:
        self._catalog.model(request.model)
        await self._router.remove(
            request.model,
            _expected(request),
            actor=_author(context),
            reason=_reason(request.reason),
        )
        return self._state(request.model)

    async def explain_route(
        self, request: pb.ExplainRouteRequest, _context: CallContext
    ) -> pb.ExplainRouteResponse:
        if len(request.headers) > _MAX_HEADERS:
            raise InvalidRoute(
                f"headers: got {len(request.headers)}, expected at most {_MAX_HEADERS}"
            )
        model = self._catalog.model(request.model)
        route = self._router.route(model.name)
        ready = [loaded.number for loaded in model.ready]
        if route is None:
            return pb.ExplainRouteResponse(
                model=model.name,
                generation=0,
                version=model.serving,
                reason="serving",
                is_ready=model.serving in ready,
            )
        found = explain(route, key=request.key, headers=dict(request.headers))
        return pb.ExplainRouteResponse(
            model=model.name,
            generation=route.generation,
            version=found.version,
            reason=found.reason,
            rule=None if found.rule < 0 else rule_message(route.rules[found.rule]),
            rule_place=found.rule + 1,
            slot=None if found.slot < 0 else found.slot,
            key=found.key,
            is_ready=found.version in ready,
            fallback=stand_in(route, model.serving, ready),
            shares=[
                pb.RouteShare(
                    version=share.version,
                    weight=share.weight,
                    weight_share=share.weight_share,
                    key_share=share.key_share,
                )
                for share in found.shares
            ],
        )

    async def route_results(
        self, request: pb.RouteResultsRequest, _context: CallContext
    ) -> pb.RouteResultsResponse:
        self._catalog.model(request.model)
        return results_message(request.model, self._experiments.find(request.model))

    def _state(self, model: str) -> pb.RouteState:
        state = state_message(
            model, self._router.kept(model), self._router.counts(model), self._states(model)
        )
        bandit = self._bandits.status(model)
        if bandit is not None:
            state.bandit.CopyFrom(bandit_message(bandit))
        return state

    def _states(self, model: str) -> Mapping[int, str]:
        try:
            return self._catalog.version_states(model)
        except ModelNotFound:
            # It left the repository; its route stands for when it comes back.
            return {}


def _expected(request: pb.SetRouteRequest | pb.RemoveRouteRequest) -> int | None:
    is_given = request.HasField("expected_generation")
    return request.expected_generation if is_given else None


def _author(context: CallContext) -> Author:
    return Author(context.actor.shown, "operator", context.peer)


def _reason(text: str) -> str:
    if len(text) > _MAX_REASON:
        raise InvalidRoute(f"reason: got {len(text)} characters, expected at most {_MAX_REASON}")
    return text
