"""Routes of all models: what stands, how it changes, what it counted.

A change is checked, then durable, then published to the engine in one step, then told to who
listens. Who changes says which generation he saw, if he cares: another one standing there means
that somebody was faster, and nothing happens.

Thread: the event loop's; tables of sticky routes are built in a thread.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, Literal, Protocol

import msgspec

from fastserve._core import core
from fastserve.errors import FastserveError, InvalidRoute, StaleRouteTable, quoted
from fastserve.model_config import RoutingConfig
from fastserve.rollout_spec import Rollout
from fastserve.routing.route import Route, blue_green, configured_route, default_seed, switched
from fastserve.routing.route_store import Kept, RouteStore
from fastserve.routing.tables import RouteTables

MODEL_FILE_AUTHOR: Final = "model.toml"


class Author(msgspec.Struct, frozen=True):
    """Who changes a route, for the record."""

    name: str
    origin: Literal["operator", "automatic"] = "operator"
    peer: str = ""


class RouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was made, or was refused or failed; then `before` and `after` are one."""

    action: Literal["route.set", "route.remove", "route.back"]
    model: str
    before: Route | None
    after: Route | None
    author: Author
    reason: str
    outcome: Literal["ok", "refused", "failed"] = "ok"


# Returns when the change is recorded.
ChangeListener = Callable[[RouteChange], Awaitable[None]]


class Models(Protocol):
    """What the router asks of those who hold the models."""

    def version_states(self, model: str) -> Mapping[int, str]:
        """State of each version in lower case, "ready" among them. Errors: ModelNotFound."""

    def serving(self, model: str) -> int:
        """The version that answers where there is no route; 0: none. Errors: ModelNotFound."""

    def follow_route(self, model: str) -> None:
        """Publishes the model with its route as it is now. Returns when requests follow it."""


class Router:
    """Call `bind` before the first change."""

    def __init__(self, store: RouteStore, *, writers: int = 1) -> None:
        """`writers`: the engine's."""
        self._store = store
        self._models: Models | None = None
        self._listeners: list[ChangeListener] = []
        self._checks: list[Callable[[Route], None]] = []
        self._tables = RouteTables(writers)
        self._changing = asyncio.Lock()
        # Of a change that is being made durable: its versions stay.
        self._coming: dict[str, frozenset[int]] = {}
        self._noted: set[asyncio.Task[None]] = set()
        self._declared_rollouts: dict[str, Rollout] = {}
        self.headers = self._looked_at()
        # Differs after each change.
        self.changes = 0

    def bind(self, models: Models) -> None:
        self._models = models

    def on_change(self, listener: ChangeListener) -> None:
        """Called after each change and each one refused, by whomever."""
        self._listeners.append(listener)

    def add_check(self, check: Callable[[Route], None]) -> None:
        """Called with each route before it is set; a FastserveError that it raises refuses it."""
        self._checks.append(check)

    @property
    def routes(self) -> Mapping[str, Route]:
        """By model, those that stand."""
        return {
            model: kept.route for model, kept in self._store.all.items() if kept.route is not None
        }

    @property
    def models(self) -> list[str]:
        """That have a route, or had one."""
        return sorted(self._store.all)

    def route(self, model: str) -> Route | None:
        """What stands; None: the version that serves answers all requests."""
        return self._store.get(model).route

    def kept(self, model: str) -> Kept:
        """The route with who gave it, when and why, and what stood before."""
        return self._store.get(model)

    def generation(self, model: str) -> int:
        """Of the last change, also where no route stands."""
        return self._store.get(model).generation

    def counts(self, model: str) -> Mapping[str, int]:
        """Requests by the reason of their version, over all generations since the start."""
        return self._tables.counts(model)

    async def set(
        self,
        model: str,
        route: Route,
        expected_generation: int | None = None,
        *,
        actor: Author,
        reason: str = "",
        waits_for_disk: bool = True,
    ) -> Route:
        """Makes `route` what stands; requests that start later follow it. Returns it, numbered.

        Without `waits_for_disk` it holds though the disk refuses: for what takes a version that
        fails out of traffic. It is on the disk when this returns, or the problem was reported and
        the next change tries again.

        Errors: ModelNotFound; InvalidRoute for a version that is unknown or not ready;
        StaleRouteTable when another generation than `expected_generation` stands; NotKept. Then
        nothing changed.
        """
        changed = await self._change(
            "route.set", model, lambda: route, expected_generation, actor=actor, reason=reason,
            waits_for_disk=waits_for_disk,
        )  # fmt: skip
        assert changed is not None  # noqa: S101 - it was set
        return changed

    async def set_blue_green(
        self,
        model: str,
        version: int,
        expected_generation: int | None = None,
        *,
        actor: Author,
        reason: str = "",
    ) -> Route:
        """Everything to `version`; what had most stays loaded, for going back. Errors: as `set`."""

        def choose() -> Route:
            standing = self.route(model)
            before = standing.main if standing is not None else self._bound.serving(model)
            if standing is not None and standing.main == version:
                before = next((e.version for e in standing.entries if e.version != version), 0)
            seed = default_seed(model) if standing is None else standing.seed
            return blue_green(model, version, before, seed)

        changed = await self._change(
            "route.set", model, choose, expected_generation, actor=actor, reason=reason
        )
        assert changed is not None  # noqa: S101 - it was set
        return changed

    async def back(
        self,
        model: str,
        expected_generation: int | None = None,
        *,
        actor: Author,
        reason: str = "",
    ) -> Route:
        """The other colour of a blue/green route; else the route that stood before this one.

        Errors: as `set`; InvalidRoute when there is nothing to go back to.
        """

        def choose() -> Route:
            kept = self._store.get(model)
            if kept.route is not None and kept.route.strategy == "blue_green":
                return switched(kept.route)
            if kept.previous is None:
                raise InvalidRoute(
                    f"model {quoted(model)} had no route before this one: to give all requests to "
                    f"the version that serves, remove it (fastserve route remove {model})"
                )
            return kept.previous

        changed = await self._change(
            "route.back", model, choose, expected_generation, actor=actor, reason=reason
        )
        assert changed is not None  # noqa: S101 - it was set
        return changed

    async def remove(
        self,
        model: str,
        expected_generation: int | None = None,
        *,
        actor: Author,
        reason: str = "",
    ) -> Route | None:
        """From here on the version that serves answers all. Returns the route that stood.

        Errors: as `set`.
        """
        before = self.route(model)
        await self._change(
            "route.remove", model, lambda: None, expected_generation, actor=actor, reason=reason
        )
        return before

    # What models ask (fastserve.models.catalog.RouteSource).

    def table(self, model: str, serving: int, ready: Collection[int]) -> core.RouteTable | None:
        """What the engine is given; its stand-in is the best that is ready now."""
        route = self.route(model)
        return None if route is None else self._tables.get(route, stand_in(route, serving, ready))

    def named(self, model: str) -> frozenset[int]:
        """Versions that may not be taken away."""
        route = self.route(model)
        coming = self._coming.get(model, frozenset())
        return coming if route is None else route.versions | coming

    def kept_versions(self, model: str) -> frozenset[int]:
        """Versions that stay loaded: those named, and those of the route to go back to."""
        kept = self._store.get(model)
        before = kept.previous.versions if kept.route and kept.previous else frozenset()
        return self.named(model) | before

    def shares(self, model: str) -> Mapping[int, float]:
        """By version its part of the requests that no rule sends elsewhere; empty: no route."""
        route = self.route(model)
        return {} if route is None else route.weight_shares()

    @property
    def declared_rollouts(self) -> Mapping[str, Rollout]:
        """[routing.rollout] by model, as model.toml says it. They move no route by themselves."""
        return self._declared_rollouts

    def configure(self, model: str, config: RoutingConfig) -> None:
        """model.toml was read. Its [routing] counts when it is another than when it last did."""
        if config.rollout is None:
            self._declared_rollouts.pop(model, None)
        else:
            self._declared_rollouts[model] = config.rollout
        # Another rollout is no reason to go back to the weights that the model began with.
        config = msgspec.structs.replace(config, rollout=None)
        kept = self._store.get(model)
        if kept.configured == config:
            return
        before, route = kept.route, configured_route(model, config)
        generation = kept.generation + 1
        if route is not None:
            route = msgspec.structs.replace(route, generation=generation)
        reason = "[routing] of model.toml changed"
        self._store.note(
            model,
            Kept(
                generation=generation,
                route=route,
                previous=before or kept.previous,
                source=MODEL_FILE_AUTHOR if route is not None else "",
                configured=config,
                actor=MODEL_FILE_AUTHOR,
                reason=reason,
                time=time.time(),
            ),
        )
        self._changed()
        change = RouteChange(
            action="route.remove" if route is None else "route.set",
            model=model,
            before=before,
            after=route,
            author=Author(MODEL_FILE_AUTHOR, "automatic"),
            reason=reason,
        )
        task = asyncio.get_running_loop().create_task(self._keep(change))
        self._noted.add(task)
        task.add_done_callback(self._noted.discard)

    async def close(self) -> None:
        """What is noted is kept and recorded when this returns."""
        await asyncio.gather(*self._noted, return_exceptions=True)
        await self._store.save()

    @property
    def _bound(self) -> Models:
        assert self._models is not None  # noqa: S101 - `bind` comes first
        return self._models

    async def _change(
        self,
        action: Literal["route.set", "route.remove", "route.back"],
        model: str,
        choose: Callable[[], Route | None],
        expected: int | None,
        *,
        actor: Author,
        reason: str,
        waits_for_disk: bool = True,
    ) -> Route | None:
        """Shielded: a caller that leaves cannot stop between the disk and the engine."""
        before = self.route(model)
        change = RouteChange(
            action=action, model=model, before=before, after=before, author=actor, reason=reason
        )
        making = self._make(change, choose, expected, waits_for_disk=waits_for_disk)
        return await asyncio.shield(asyncio.ensure_future(making))

    async def _make(
        self,
        change: RouteChange,
        choose: Callable[[], Route | None],
        expected: int | None,
        *,
        waits_for_disk: bool,
    ) -> Route | None:
        try:
            async with self._changing:
                before = self.route(change.model)
                after = await self._swap(change, choose, expected, waits_for_disk=waits_for_disk)
        except FastserveError as error:
            outcome: Literal["refused", "failed"] = (
                "failed" if error.code in _FAILURES else "refused"
            )
            await self._tell(msgspec.structs.replace(change, reason=error.message, outcome=outcome))
            raise
        await self._store.save()
        await self._tell(msgspec.structs.replace(change, before=before, after=after))
        return after

    async def _swap(
        self,
        change: RouteChange,
        choose: Callable[[], Route | None],
        expected: int | None,
        *,
        waits_for_disk: bool,
    ) -> Route | None:
        model = change.model
        states = self._bound.version_states(model)
        kept = self._store.get(model)
        if expected is not None and expected != kept.generation:
            raise StaleRouteTable(
                f"the route of model {quoted(model)} is at generation {kept.generation}, expected "
                f"{expected}: somebody changed it; look at it again (fastserve route show {model})"
            )
        route = choose()
        if route is not None:
            if route.model != model:
                raise InvalidRoute(f"model: a route of {quoted(route.model)} given to {model!r}")
            _check_versions(route, states)
            for check in self._checks:
                check(route)
            route = msgspec.structs.replace(route, generation=kept.generation + 1)
        self._coming[model] = frozenset() if route is None else route.versions
        try:
            if route is not None:
                serving = self._bound.serving(model)
                ready = [number for number, state in states.items() if state == "ready"]
                await asyncio.to_thread(
                    self._tables.prepare, route, stand_in(route, serving, ready)
                )
            coming = Kept(
                generation=kept.generation + 1,
                route=route,
                previous=kept.route or kept.previous,
                source="" if route is None else "call",
                # Of the moment: model.toml may have been read while tables were made.
                configured=self._store.get(model).configured,
                actor=change.author.name,
                reason=change.reason,
                time=time.time(),
            )
            if waits_for_disk:
                await self._store.put(model, coming)
            else:
                self._store.note(model, coming)
        finally:
            del self._coming[model]
        self._changed()
        self._bound.follow_route(model)
        return route

    def _changed(self) -> None:
        self.changes += 1
        self.headers = self._looked_at()

    def _looked_at(self) -> frozenset[str]:
        """Headers that some route looks at."""
        return frozenset().union(*(route.headers for route in self.routes.values()))

    async def _keep(self, change: RouteChange) -> None:
        await self._store.save()
        await self._tell(change)

    async def _tell(self, change: RouteChange) -> None:
        for listener in tuple(self._listeners):
            await listener(change)


def stand_in(route: Route, serving: int, ready: Collection[int]) -> int:
    """Who answers for a chosen version that cannot: one that is ready, if any is.

    The route's fallback, else the version that serves, else one that the route names.
    """
    wanted = [route.fallback, serving, route.main, *(entry.version for entry in route.entries)]
    return next((number for number in wanted if number in ready), route.fallback or serving)


def _check_versions(route: Route, states: Mapping[int, str]) -> None:
    for number in sorted(route.versions):
        state = states.get(number)
        if state is None:
            known = ", ".join(map(str, states)) or "none"
            raise InvalidRoute(
                f"version {number} of model {quoted(route.model)} is not found; it has {known}"
            )
        if state != "ready":
            raise InvalidRoute(
                f"version {number} of model {quoted(route.model)} is {state}, and a route names "
                "versions that answer: load it first (fastserve model load "
                f"{route.model} --version {number} --standby)"
            )


# UNAVAILABLE, INTERNAL: what was asked for was sound.
_FAILURES = frozenset({13, 14})
