"""The A/B tests of all routes of strategy `ab`: each is measured from when its route stands.

What was seen is in memory alone: a server that is started again begins anew, as does a route that
is changed, since callers then meet other arms. Thread: the event loop's.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from fastserve.errors import InvalidRoute, quoted
from fastserve.routing.evidence import ArmSource
from fastserve.routing.experiment import Experiment
from fastserve.routing.route import Route


class RunningExperiment(msgspec.Struct, frozen=True):
    """`generation` is its route's; `since` in seconds since the epoch."""

    generation: int
    since: float
    experiment: Experiment


class Experiments:
    """Of one server. Call `look` once a second."""

    def __init__(
        self,
        routes: Callable[[], Mapping[str, Route]],
        source: ArmSource,
        *,
        bounds: Sequence[float],
        time: Callable[[], float],
    ) -> None:
        """`routes`: by model, those that stand. `time`: in seconds since the epoch."""
        self._routes = routes
        self._source = source
        self._bounds = bounds
        self._time = time
        self._running: dict[str, RunningExperiment] = {}

    def look(self) -> None:
        """Follows the routes, and takes what is new."""
        routes = self._routes()
        self._running = {
            model: self._of(route) for model, route in routes.items() if route.strategy == "ab"
        }
        for each in self._running.values():
            each.experiment.look()

    def find(self, model: str) -> RunningExperiment:
        """That of the route as it is now. Errors: InvalidRoute when it is no A/B test."""
        route = self._routes().get(model)
        if route is None or route.strategy != "ab":
            got = "which has none" if route is None else f"got {route.strategy}"
            raise InvalidRoute(
                f"strategy: results are those of a route of strategy ab of model {quoted(model)}, "
                f"{got}"
            )
        found = self._running[model] = self._of(route)
        return found

    def _of(self, route: Route) -> RunningExperiment:
        found = self._running.get(route.model)
        if found is not None and found.generation == route.generation:
            return found
        versions = [entry.version for entry in route.entries]
        experiment = Experiment(self._source, route.model, versions, self._bounds)
        # The first look is what the next ones are new against.
        experiment.look()
        return RunningExperiment(route.generation, self._time(), experiment)
