"""Builds what holds the models: catalog, loader, lifecycle, follower; starts it and ends it.

No rule of the product lives here. Part of the composition root, apart from the server so that each
can be read at once.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec

from fastserve._core import core
from fastserve.config import Settings
from fastserve.models.attempt import Attempts
from fastserve.models.catalog import Catalog
from fastserve.models.checked_cache import CheckedCache
from fastserve.models.checker import Checker, CheckLimits
from fastserve.models.drain import Drain
from fastserve.models.follower import Follower
from fastserve.models.inspector import Inspector
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import Loader
from fastserve.models.memory_budget import MemoryBudget
from fastserve.models.on_demand import OnDemand
from fastserve.models.operator_choices import OperatorChoices
from fastserve.models.record import VersionRecord
from fastserve.models.repository import Repository
from fastserve.models.starter import load_all, load_named, offer_all
from fastserve.models.state import State
from fastserve.models.traffic import Traffic
from fastserve.models.watcher import Watcher
from fastserve.observe.audit import AuditEvent
from fastserve.observe.logs import get_logger
from fastserve.rollout_hosting import RolloutHosting
from fastserve.routing.declared_shadows import DeclaredShadows
from fastserve.routing.figures import RouteFigures
from fastserve.routing.route_store import RouteStore
from fastserve.routing.router import RouteChange, Router
from fastserve.routing.shadow import Shadows
from fastserve.rpc.operations import summarize
from fastserve.state_folder import StateFolder
from fastserve.strategy_hosting import StrategyHosting
from fastserve.watching import Watching

_ACTOR: Final = "server"
# At once; more wait for their turn.
_UPLOADS: Final = 4

_log = get_logger("models")


class Hosting:
    """The models of one server. Thread: the event loop's."""

    def __init__(
        self,
        settings: Settings,
        engine: core.Engine,
        *,
        library: core.Library,
        checker: Checker | None,
        checked: CheckedCache,
        state: StateFolder,
        threads: int,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._state = state
        self._checker = checker
        self._checked = checked
        self.router = Router(RouteStore(state.path, _log_problem), writers=engine.writers)
        self.router.on_change(self._keep_route_change)
        self.router.on_change(self._declare_shadows)
        self.route_figures = RouteFigures(self.router)
        self.catalog = Catalog(engine, self.router)
        self.catalog.on_transition(_log_transition)
        self.state_changes = _StateChanges()
        self.catalog.on_transition(self.state_changes.count)
        self.repository = Repository(settings.repository)
        self.pool = LoadPool(settings.lifecycle.load_threads or threads)
        self.upload_pool = LoadPool(_UPLOADS)
        self._recording: set[asyncio.Task[None]] = set()
        self.watching = Watching(settings, self.catalog, state, self._record)
        loader = Loader(
            engine,
            library,
            root=settings.repository,
            limits=settings.limits,
            checker=checker,
            check_limits=CheckLimits(
                seconds=settings.lifecycle.check_seconds,
                memory_bytes=settings.lifecycle.check_memory_bytes,
            ),
            checked=checked,
            prepare=self.watching.prepare,
        )
        self.choices = choices = OperatorChoices(state.path, _log_problem)
        self.drain = Drain(self.catalog, engine)
        self.traffic = Traffic(self.catalog, self.drain, choices)
        self.router.bind(_Models(self.catalog, self.traffic))
        self.budget = MemoryBudget(
            settings.lifecycle.memory_budget_bytes, self.catalog, self.traffic, self.drain
        )
        attempts = Attempts(
            self.catalog,
            self.repository,
            loader=loader,
            pool=self.pool,
            drain=self.drain,
            room=self.budget,
        )
        self.lifecycle = Lifecycle(
            self.catalog,
            self.repository,
            pool=self.pool,
            attempts=attempts,
            traffic=self.traffic,
            choices=choices,
        )
        self.on_demand = OnDemand(self.catalog, self.lifecycle)
        self.inspector = Inspector(self.repository, loader, self.pool)
        self.follower = Follower(
            self.catalog,
            self.repository,
            self.pool,
            self.lifecycle,
            self,
            settle_seconds=settings.lifecycle.settle_seconds,
        )
        self.shadows = Shadows(engine, self.catalog)
        self.rollouts = RolloutHosting(
            self.catalog,
            self.router,
            watching=self.watching,
            shadows=self.shadows,
            state=state,
            record=self._record,
        )
        self.strategies = StrategyHosting(
            self.router, self.rollouts.controller, self.rollouts.arms, state, self._record
        )
        self._declared_shadows = DeclaredShadows(
            lambda: self.router.routes, self.shadows, _log_problem
        )
        self.catalog.on_change(self._follow_shadows)
        self.catalog.on_transition(lambda _record, _before: self._follow_shadows())
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_following(self) -> bool:
        lifecycle = self._settings.lifecycle
        return lifecycle.watch or lifecycle.poll_seconds > 0

    async def start(self) -> None:
        """Loads what is to be there at the start, then follows the repository if it should."""
        asyncio.get_running_loop().add_reader(self._engine.wanted_fd, self._take_wanted)
        self.watching.start()
        self.rollouts.start()
        self.strategies.start()
        scan = await self.pool.run(self.repository.scan)
        for place, problem in scan.problems:
            _log.warning("not served", place=place, reason=problem)
        if not scan.models:
            _log.warning(
                "nothing to serve",
                repository=str(self._settings.repository),
                expected="<model>/<version>/model.onnx, for example digits/1/model.onnx",
            )
        lifecycle = self._settings.lifecycle
        if lifecycle.explicit:
            names = lifecycle.load_models
            for problem in await load_named(self.catalog, self.lifecycle, scan, names):
                _log.error("load failed", reason=problem)
        elif self.budget.budget_bytes:
            await offer_all(self.catalog, self.lifecycle, self.traffic, self.budget, scan)
        else:
            await load_all(self.catalog, self.follower)
        self.pool.lower()
        await self._save_checked()
        if self.is_following:
            watcher = Watcher(
                self.follower,
                self._settings.repository,
                _log_problem,
                poll_seconds=lifecycle.poll_seconds,
            )
            self._watching = asyncio.create_task(watcher.run(None), name="follow the repository")
            self._watching.add_done_callback(_log_end)

    async def stop(self) -> None:
        """Ends what loads and follows. The engine is still there."""
        asyncio.get_running_loop().remove_reader(self._engine.wanted_fd)
        await self._declared_shadows.close()
        await self.shadows.close()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.strategies.stop()
        await self.rollouts.stop()
        await self.on_demand.close()
        await self.drain.close()
        await asyncio.gather(*self._recording, self.choices.save(), return_exceptions=True)
        await self.router.close()
        if self._checker is not None:
            # First: a check that hangs would hold its thread for as long as it may take.
            self._checker.close()
        for pool in (self.pool, self.upload_pool):
            await asyncio.to_thread(pool.close)
        # The last requests are on their way to what watches.
        await asyncio.to_thread(self._engine.sweep_watches)
        await self.watching.stop()
        await asyncio.gather(*self._recording, return_exceptions=True)
        await self._save_checked()

    # What the follower tells (models.follower.FollowListener).

    def followed(self, model: str, before: int, after: int) -> None:
        event = self._event("model.load", model, before={"serving": before})
        event = msgspec.structs.replace(event, version=after, reason="the repository changed")
        self._record(event)

    def failed(self, model: str, reason: str) -> None:
        event = self._event("model.load", model, before=summarize(self.catalog, model))
        self._record(msgspec.structs.replace(event, reason=reason, outcome="failed"))

    def left(self, model: str, versions: Collection[int]) -> None:
        event = self._event("model.unload", model, before={"versions": sorted(versions)})
        self._record(msgspec.structs.replace(event, reason="folders left the repository"))

    def _event(self, action: str, model: str, *, before: Mapping[str, object]) -> AuditEvent:
        return AuditEvent(
            action=action,
            actor=_ACTOR,
            origin="automatic",
            model=model,
            before=before,
            after=summarize(self.catalog, model),
        )

    def _record(self, event: AuditEvent) -> None:
        task = asyncio.get_running_loop().create_task(self._keep(event))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    def _follow_shadows(self) -> None:
        self.shadows.follow()
        self._declared_shadows.follow()

    async def _declare_shadows(self, _change: RouteChange) -> None:
        self._declared_shadows.follow()

    async def _save_checked(self) -> None:
        try:
            await asyncio.to_thread(self._checked.save)
        except OSError as error:
            _log_problem(f"passed checks cannot be kept: {error.strerror or error}")

    async def _keep_route_change(self, change: RouteChange) -> None:
        after = change.after
        await self._state.append(
            AuditEvent(
                action=change.action,
                actor=change.author.name,
                origin=change.author.origin,
                peer=change.author.peer,
                model=change.model,
                version=0 if after is None else after.main,
                before={} if change.before is None else msgspec.to_builtins(change.before),
                after={} if after is None else msgspec.to_builtins(after),
                reason=change.reason,
                outcome=change.outcome,
            )
        )

    async def _keep(self, event: AuditEvent) -> None:
        await self._state.append(event)
        await self.choices.save()

    def _take_wanted(self) -> None:
        for model, version in self._engine.take_wanted():
            self.on_demand.start(model, version)


class _Models:
    """Catalog and traffic, as the router needs them (fastserve.routing.router.Models)."""

    def __init__(self, catalog: Catalog, traffic: Traffic) -> None:
        self.version_states = catalog.version_states
        self.serving = catalog.serving
        self.follow_route = traffic.follow_route


class _StateChanges:
    """How often versions came into each state, by model; for the metrics page."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def count(self, record: VersionRecord, _before: State) -> None:
        key = (record.model, record.state.name)
        self.counts[key] = self.counts.get(key, 0) + 1


def _log_transition(record: VersionRecord, before: State) -> None:
    loaded = record.loaded
    write: Callable[..., None] = _log.error if record.state is State.FAILED else _log.info
    facts = (
        {}
        if loaded is None
        else {
            "digest": loaded.digest[:16],
            "batching": loaded.batching.reason,
            "max_rows": loaded.max_rows,
            "memory_bytes": loaded.memory_bytes,
            "milliseconds": round(loaded.load_seconds * 1000, 1),
            "notes": list(loaded.notes) or None,
        }
    )
    write(
        "version state",
        model=record.model,
        version=record.number,
        state=record.state.name,
        before=before.name,
        reason=record.reason or None,
        **facts,
    )


def _log_problem(text: str) -> None:
    _log.warning("state", problem=text)


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("the repository is no longer followed", exc_info=task.exception())
