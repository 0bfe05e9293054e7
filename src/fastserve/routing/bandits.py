"""The bandits of all routes of strategy `bandit`: each begins, moves and ends with its route.

Who declares another bandit over one that runs means its shares and bounds; labels of versions that
stay are still true. A route that is removed, or is of another strategy, ends its bandit, and what
was counted is forgotten.

Thread: the event loop's; the disk is waited for in a thread.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Final

import msgspec

from fastserve.errors import FastserveError, RolloutConflict, quoted
from fastserve.metric_source import MetricFamily
from fastserve.routing.bandit import ACTOR, BanditController, BanditStatus
from fastserve.routing.evidence import ArmSource
from fastserve.routing.reward import Reward, RewardStore
from fastserve.routing.route import Route
from fastserve.routing.routed_weights import RoutedWeights
from fastserve.routing.router import Author, RouteChange, Router

_AUTHOR: Final = Author(ACTOR, "automatic")


class Bandits:
    """Of one server; a fastserve.metric_source.MetricSource of them."""

    def __init__(
        self,
        router: Router,
        source: ArmSource,
        store: RewardStore,
        *,
        has_rollout: Callable[[str], bool],
        monotonic: Callable[[], float],
        seed: int,
        on_problem: Callable[[str], None],
    ) -> None:
        """`has_rollout`: whether a rollout moves the model's weights. Errors: OSError."""
        self._router = router
        self._routes = RoutedWeights(router, frozenset({ACTOR}), keeps_strategy=True)
        self._source = source
        self._store = store
        self._has_rollout = has_rollout
        self._monotonic = monotonic
        self._seed = seed
        self._on_problem = on_problem
        self._controllers: dict[str, BanditController] = {}
        # So that counts on their way to the disk do not outlive their bandit.
        self._writing = asyncio.Lock()
        # What stood in the way of each model's bandit at the last look.
        self._problems: dict[str, str] = {}
        router.add_check(self._check_rollout)
        router.on_change(self._follow)
        # Of routes that went while nobody was there to follow.
        for model in store.models() - self._declared().keys():
            store.remove(model)

    def status(self, model: str) -> BanditStatus | None:
        """None where the model's route is no bandit, or its counts cannot be read."""
        controller = self._controllers.get(model)
        if controller is None:
            return None
        found = controller.status
        if not self._has_rollout(model):
            return found
        return msgspec.structs.replace(found, awaited=("the end of the rollout", *found.awaited))

    async def tick(self) -> None:
        """Looks at every bandit once."""
        for model in self._declared():
            try:
                problem = await self._look(model)
            except Exception as error:  # noqa: BLE001 - one bandit must not hold up the others
                problem = f"{type(error).__name__}: {error}"
            self._report(model, problem)

    async def close(self) -> None:
        """What was counted is kept when this returns."""
        for controller in tuple(self._controllers.values()):
            controller.count()
            await controller.keep()

    @property
    def stamp(self) -> Hashable:
        return tuple((model, *rewards.items()) for model, rewards in self._rewards())

    def families(self) -> Iterator[MetricFamily]:
        yield MetricFamily(
            "fastserve_bandit_labels_total",
            "Labels that a bandit counted, by what they said of the version's answer",
            "counter",
            [
                ({"model": model, "version": str(version), "verdict": verdict}, float(count))
                for model, rewards in self._rewards()
                for version, reward in rewards.items()
                for verdict, count in (("right", reward.right), ("wrong", reward.wrong))
            ],
        )

    def _rewards(self) -> list[tuple[str, Mapping[int, Reward]]]:
        return [(model, each.rewards) for model, each in sorted(self._controllers.items())]

    def _declared(self) -> dict[str, Route]:
        routes = self._router.routes.items()
        return {model: route for model, route in routes if route.strategy == "bandit"}

    async def _look(self, model: str) -> str:
        """What stands in the way; empty when nothing does."""
        controller = self._controller(model)
        if controller is None:
            return ""
        if self._has_rollout(model):
            controller.count()
            return "the weights stay until the rollout has ended"
        async with self._writing:
            await controller.tick()
        return ""

    def _controller(self, model: str) -> BanditController | None:
        """That of the route as it is now. Errors: as `RewardStore.read`."""
        route = self._router.route(model)
        if route is None or route.strategy != "bandit":
            return None
        found = self._controllers.get(model)
        if found is not None and found.generation == route.generation:
            return found
        if found is not None:
            found.count()
        made = BanditController(
            route,
            self._store.read(model) if found is None else found.rewards,
            routes=self._routes,
            source=self._source,
            store=self._store,
            monotonic=self._monotonic,
            seed=self._seed,
            on_problem=self._on_problem,
        )
        made.count()
        self._controllers[model] = made
        return made

    async def _follow(self, change: RouteChange) -> None:
        """A ChangeListener: what was declared holds, and what ended is forgotten, at once."""
        if change.outcome != "ok" or change.author == _AUTHOR:
            return
        try:
            is_one = self._controller(change.model) is not None
            was_one = change.before is not None and change.before.strategy == "bandit"
            if was_one and not is_one:
                self._controllers.pop(change.model, None)
                async with self._writing:
                    await asyncio.to_thread(self._store.remove, change.model)
        except (OSError, FastserveError) as error:
            self._report(change.model, str(error))

    def _check_rollout(self, route: Route) -> None:
        if route.strategy == "bandit" and self._has_rollout(route.model):
            raise RolloutConflict(
                f"model {quoted(route.model)} has a rollout that has not ended, which moves the "
                "weights by itself: promote it or roll it back before a bandit does"
            )

    def _report(self, model: str, problem: str) -> None:
        """Once, not each second."""
        if problem and self._problems.get(model) != problem:
            self._on_problem(f"bandit of model {quoted(model)}: {problem}")
        self._problems[model] = problem
