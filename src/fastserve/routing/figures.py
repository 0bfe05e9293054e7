"""What the metrics page shows of routes (fastserve.metric_source).

Thread: the event loop's.
"""

from collections.abc import Hashable, Iterator

from fastserve.metric_source import MetricFamily
from fastserve.routing.router import Router


class RouteFigures:
    """A MetricSource over a router."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @property
    def stamp(self) -> Hashable:
        counts = self._router.counts
        return (
            self._router.changes,
            tuple(tuple(counts(model).items()) for model in self._router.models),
        )

    def families(self) -> Iterator[MetricFamily]:
        router = self._router
        yield MetricFamily(
            "fastserve_route_weight",
            "Part of the model's requests that its route gives the version, 0 to 1",
            "gauge",
            [
                ({"model": model, "version": str(version)}, share)
                for model, route in router.routes.items()
                for version, share in route.weight_shares().items()
            ],
        )
        yield MetricFamily(
            "fastserve_route_requests_total",
            "Requests that a route chose the version of, by why it did",
            "counter",
            [
                ({"model": model, "reason": reason}, float(count))
                for model in router.models
                for reason, count in router.counts(model).items()
            ],
        )
        yield MetricFamily(
            "fastserve_route_generation",
            "How often the model's route has changed",
            "gauge",
            [({"model": model}, float(router.generation(model))) for model in router.models],
        )
