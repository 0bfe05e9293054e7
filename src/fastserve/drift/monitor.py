"""Watches all versions that answer: takes their windows, judges them, tells of alarms.

The event loop owns it; what reads or merges sketches runs in a thread, one job at a time, so that a
model with a thousand features delays no call. Time is an argument: `run` alone waits for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from fastserve._core import core
from fastserve.config import DriftSettings
from fastserve.drift.alarm import AlarmBook, Kind
from fastserve.drift.profile import Origin, ReferenceProfile, decode_profile
from fastserve.drift.profile_store import ProfileStore
from fastserve.drift.rules import rules_for
from fastserve.drift.version_watch import Plan, Taken, VersionWatch, plan_watch
from fastserve.drift.watched import CheckedVersion, WatchedVersion
from fastserve.drift.windows import DAY
from fastserve.errors import FastserveError, InvalidConfig, ModelNotFound, VersionNotFound, quoted

T = TypeVar("T")

# The event loop's timers count milliseconds: less would not sleep at all.
_SHORTEST_SLEEP_SECONDS: Final = 0.001


class DriftMonitor:
    """Thread: the event loop's."""

    def __init__(
        self,
        settings: DriftSettings,
        alarms: AlarmBook,
        store: ProfileStore,
        on_problem: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_problem` is told in one line what goes on without: a profile that is no good, say."""
        self._settings = settings
        self._alarms = alarms
        self._store = store
        self._on_problem = on_problem
        self._clock = clock
        self._watches: dict[tuple[str, int], VersionWatch] = {}
        self._busy = asyncio.Lock()
        self._is_closing = False
        # Counts what could change what the metrics page shows.
        self.changes = 0

    @property
    def watches(self) -> list[VersionWatch]:
        """By model and number."""
        return [self._watches[key] for key in sorted(self._watches)]

    @property
    def alarms(self) -> AlarmBook:
        return self._alarms

    def plan(self, version: CheckedVersion) -> Plan:
        """What the engine is told before the version answers. Thread: any.

        Errors: as `plan_watch`.
        """
        return plan_watch(version, rules_for(self._settings, version.config.drift))

    async def follow(self, ready: Callable[[], Iterable[WatchedVersion]]) -> None:
        """Watches those that answer by now, and no others; the engine was told of each."""
        async with self._busy:
            versions = {(each.model, each.number): each for each in ready()}
            for key, watch in tuple(self._watches.items()):
                if versions.get(key) is not watch.version:
                    why = "is loaded anew" if key in versions else "is no longer loaded"
                    self._end(key, f"the version {why}")
            for key, version in versions.items():
                if key not in self._watches:
                    await self._begin(key, version)

    async def _begin(self, key: tuple[str, int], version: WatchedVersion) -> None:
        try:
            rules = rules_for(self._settings, version.config.drift)
            if not rules.enabled:
                return
            watch = await asyncio.to_thread(self._make, version, rules)
        except (FastserveError, core.CoreError) as error:
            self._on_problem(f"{key[0]}/{key[1]} is not watched: {error.args[0]}")
            return
        self._watches[key] = watch
        self.changes += 1
        if watch.problem:
            self._on_problem(watch.problem)

    async def run(self) -> None:
        """Takes and judges at the end of each base window, for ever."""
        base = self._settings.base_seconds
        while True:
            end = (self._clock() // base + 1) * base
            # A timer may ring a moment early. A look before the end would leave the window open
            # for another whole base. More than a base is left when the clock was set back.
            while 0 < (left := end - self._clock()) <= base:  # noqa: ASYNC110 - time is no event
                await asyncio.sleep(max(left, _SHORTEST_SLEEP_SECONDS))
            await self.tick()

    async def close(self) -> None:
        """Ends a look under way after the version that it is at; no thread of it is left then."""
        self._is_closing = True
        async with self._busy:
            pass

    async def tick(self) -> None:
        """Takes what came since the last time, for every version, and judges windows that ended."""
        async with self._busy:
            await self._refresh(list(self._watches.values()))
            self.changes += 1

    async def look(self, model: str, number: int, read: Callable[[VersionWatch], T]) -> list[T]:
        """`read` of each version of the model (of all models for ""; 0: every version), up to date.

        It runs in a thread while nothing changes. Errors: ModelNotFound, VersionNotFound, as well
        for a version that is not watched.
        """
        async with self._busy:
            watches = self._find(model, number)
            await self._refresh(watches)
            return await asyncio.to_thread(lambda: [read(watch) for watch in watches])

    async def freeze(self, model: str, number: int, rows: int) -> VersionWatch:
        """The next `rows` rows of the version (0: of the newest) become its profile.

        Until there are enough the profile before stays. Errors: ModelNotFound, VersionNotFound,
        InvalidConfig.
        """
        if rows < 1:
            raise InvalidConfig(f"rows is {rows}, expected at least 1")
        async with self._busy:
            watch = self._find_one(model, number)
            # What came until now is no row from now on.
            await self._refresh([watch])
            watch.start_freeze(rows)
            self.changes += 1
        return watch

    async def freeze_from(self, model: str, number: int, source: int) -> VersionWatch:
        """What version `source` saw in the last day or so becomes the profile of version `number`.

        Errors: ModelNotFound, VersionNotFound; InvalidConfig when it saw nothing, or has other
        tensors.
        """
        async with self._busy:
            watch, other = self._find_one(model, number), self._find_one(model, source)
            await self._refresh([watch, other])
            now = self._clock()
            await self._adopt(watch, await asyncio.to_thread(_profile_from, watch, other, now))
        return watch

    async def put(self, model: str, number: int, data: bytes) -> VersionWatch:
        """A profile that was made elsewhere. Errors: as `decode_profile`, and as `freeze`."""
        async with self._busy:
            watch = self._find_one(model, number)
            profile = await asyncio.to_thread(
                decode_profile, data, watch.signature, name="the profile"
            )
            header = msgspec.structs.replace(profile.header, digest=watch.version.digest)
            await self._adopt(watch, ReferenceProfile(header, profile.sketch))
        return watch

    async def forget(self, model: str, number: int) -> VersionWatch:
        """Back to the profile of the version's folder, or to none; a freeze under way is given up.

        Errors: ModelNotFound, VersionNotFound.
        """
        async with self._busy:
            watch = self._find_one(model, number)
            await asyncio.to_thread(self._store.remove, model, watch.version.number)
            plan = await asyncio.to_thread(plan_watch, watch.version, watch.rules)
            watch.use_profile(plan.profile)
            self._clear(watch, "the profile was dropped")
        return watch

    def _make(self, version: WatchedVersion, rules: DriftSettings) -> VersionWatch:
        plan = plan_watch(version, rules)
        watch = VersionWatch(version, plan, self._clock())
        try:
            kept = self._store.read(version.model, version.number, watch.signature, version.digest)
            if kept is not None:
                watch.use_profile(kept)
        except (FastserveError, OSError) as error:
            watch.problem = f"{watch.name}: the profile that the server kept is left out: {error}"
        if watch.profile is None and version.config.drift.freeze_rows:
            watch.start_freeze(version.config.drift.freeze_rows)
        return watch

    def _end(self, key: tuple[str, int], why: str) -> None:
        if self._watches.pop(key, None) is not None:
            self._alarms.clear(*key, why, self._clock())
            self.changes += 1

    async def _refresh(self, watches: Iterable[VersionWatch]) -> None:
        """Takes what came until now, judges what ended by it, and tells of it."""
        now = self._clock()
        for watch, taken in await asyncio.to_thread(self._take_all, watches, now):
            await self._settle(watch, taken)

    def _take_all(
        self, watches: Iterable[VersionWatch], now: float
    ) -> list[tuple[VersionWatch, Taken]]:
        """One version's trouble is not another's."""
        taken = []
        for watch in watches:
            if self._is_closing:
                break
            try:
                taken.append((watch, watch.take(now)))
            except Exception as error:  # noqa: BLE001 - the next look is at the next window's end
                self._on_problem(f"{watch.name}: a window is lost: {_in_words(error)}")
        return taken

    async def _settle(self, watch: VersionWatch, taken: Taken) -> None:
        for alarm in taken.alarms:
            self._alarms.report(alarm)
        if taken.frozen is not None:
            self._clear(watch, "another profile")
            await self._keep(watch, taken.frozen)

    async def _adopt(self, watch: VersionWatch, profile: ReferenceProfile) -> None:
        watch.use_profile(profile)
        self._clear(watch, "another profile")
        await self._keep(watch, profile)

    async def _keep(self, watch: VersionWatch, profile: ReferenceProfile) -> None:
        if self._is_closing:
            # A thousand of them wait for the disk for longer than a server may take to end.
            self._on_problem(f"{watch.name}: its new profile is not kept: the server ends")
            return
        try:
            await asyncio.to_thread(
                self._store.write, watch.version.model, watch.version.number, profile
            )
        except (FastserveError, OSError) as error:
            watch.problem = f"{watch.name}: the profile lasts until the server ends: {error}"
            self._on_problem(watch.problem)

    def _clear(self, watch: VersionWatch, why: str) -> None:
        kinds: tuple[Kind, ...] = ("drift",)
        version = watch.version
        self._alarms.clear(version.model, version.number, why, self._clock(), kinds)
        self.changes += 1

    def _find(self, model: str, number: int) -> list[VersionWatch]:
        if not model:
            return self.watches
        found = [watch for watch in self.watches if watch.version.model == model]
        if not found:
            raise ModelNotFound(f"model {quoted(model)} is not watched{_because(self._settings)}")
        if not number:
            return found
        for watch in found:
            if watch.version.number == number:
                return [watch]
        known = ", ".join(str(watch.version.number) for watch in found)
        raise VersionNotFound(
            f"version {number} of model {quoted(model)} is not watched, expected {known}"
        )

    def _find_one(self, model: str, number: int) -> VersionWatch:
        if not model:
            raise InvalidConfig("model is empty: name one")
        return self._find(model, number)[-1]


def _because(settings: DriftSettings) -> str:
    return "" if settings.enabled else ": drift.enabled is false"


def _in_words(error: Exception) -> str:
    if isinstance(error, (FastserveError, core.CoreError)):
        return str(error.args[0])
    return f"{type(error).__name__}: {error}"


def _profile_from(watch: VersionWatch, other: VersionWatch, now: float) -> ReferenceProfile:
    window = other.ladder.recent(max(other.ladder.lengths))
    if window is None:
        raise InvalidConfig(
            f"version {other.version.number} has seen no row within {DAY // 3600} hours"
        )
    if watch.signature != other.signature:
        raise InvalidConfig(
            f"versions {watch.version.number} and {other.version.number} have other tensors"
        )
    origin = Origin(kind="version", source=other.name, start=window.start, end=window.end)
    return watch.profile_of(window.sketch, origin, now)
