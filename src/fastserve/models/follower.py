"""Follows the repository: complete versions that appear or change are loaded, gone ones leave.

A version is complete when its MANIFEST.json lists its files and all are there in their sizes, or
when nothing in its folder has changed for the settle time. What was tried and failed is tried again
when it changes, and a few times without, for what failed may have been the machine.

Thread: the event loop's; the disk is read in threads.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

import msgspec

from fastserve.errors import FastserveError
from fastserve.models.catalog import Catalog
from fastserve.models.fingerprint import Fingerprint
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.load_pool import LoadPool
from fastserve.models.manifest import is_complete
from fastserve.models.record import ModelRecord, VersionRecord
from fastserve.models.repository import FoundModel, Repository, Scan, SettingsSight
from fastserve.models.state import State

_MAX_FAILURES: Final = 5
_RETRY_SECONDS: Final = 60.0


class FollowListener(Protocol):
    """Told what following the repository did."""

    def followed(self, model: str, before: int, after: int) -> None:
        """What serves changed, by itself or by its files."""

    def failed(self, model: str, reason: str) -> None:
        """What serves stayed."""

    def left(self, model: str, versions: Collection[int]) -> None:
        """Folders are gone; all of the model's when `versions` is empty."""


class _Sight(msgspec.Struct):
    """A folder as it was seen, and since when it looks so (monotonic seconds)."""

    fingerprint: Fingerprint
    since: float
    is_complete: bool


class _Look(msgspec.Struct, frozen=True):
    """What one reading of the disk found."""

    scan: Scan
    fingerprints: dict[tuple[str, int], Fingerprint]
    settings: dict[str, SettingsSight]
    complete: frozenset[tuple[str, int]]


class Follower:
    """Looks at the repository; `look` once, `run` again and again."""

    def __init__(
        self,
        catalog: Catalog,
        repository: Repository,
        pool: LoadPool,
        lifecycle: Lifecycle,
        listener: FollowListener,
        *,
        settle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._catalog = catalog
        self._repository = repository
        self._pool = pool
        self._lifecycle = lifecycle
        self._listener = listener
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self._sights: dict[tuple[str, int], _Sight] = {}
        self._settings: dict[str, SettingsSight] = {}

    async def look(self, only: Collection[str] | None = None) -> float | None:
        """Looks once, at all models or `only` those; loads what is complete and new or changed.

        Returns the seconds until the next look is due because something has not settled yet, None
        when nothing has to. Models are followed at the same time; one that fails delays no other.
        """
        found = await self._pool.run(self._read, only)
        now = self._clock()
        work = [self._follow(model, found, now) for model in found.scan.models]
        await asyncio.gather(*work)
        self._drop_gone({model.name for model in found.scan.models}, only)
        return self._next_settled(now)

    def _read(self, only: Collection[str] | None) -> _Look:
        if only is None:
            scan = self._repository.scan()
        else:
            models = [self._repository.find(name) for name in sorted(only)]
            scan = Scan(tuple(model for model in models if model is not None), ())
        fingerprints: dict[tuple[str, int], Fingerprint] = {}
        settings: dict[str, SettingsSight] = {}
        complete: set[tuple[str, int]] = set()
        for model in scan.models:
            settings[model.name] = self._repository.sight_settings(model.folder)
            for version in model.versions:
                key = (model.name, version.number)
                try:
                    fingerprints[key] = self._repository.fingerprint(version.path)
                except (FastserveError, OSError):
                    continue  # it went away or cannot be read now: it is not complete
                if is_complete(version.path):
                    complete.add(key)
        return _Look(scan, fingerprints, settings, frozenset(complete))

    async def _follow(self, model: FoundModel, found: _Look, now: float) -> None:
        settled = {
            version.number
            for version in model.versions
            if self._is_settled((model.name, version.number), found, now)
        }
        record = self._catalog.get(model.name)
        is_new_settings = self._settings.get(model.name) != found.settings[model.name]
        changed = {
            number
            for number in settled
            if not _waits_for_requests(record, number)
            and (
                is_new_settings
                or self._is_to_load(record, number, found.fingerprints[model.name, number])
            )
        }
        gone = set() if record is None else _gone_versions(record, model)
        if gone:
            left = self._lifecycle.forget_versions(model.name, gone)
            if left:
                self._listener.left(model.name, left)
        if not changed and not gone:
            if record is None:
                self._catalog.publish(await self._lifecycle.register(model))
            return
        self._settings[model.name] = found.settings[model.name]
        before = 0 if record is None else record.serving
        try:
            if await self._lifecycle.follow(model, settled, changed):
                self._listener.followed(model.name, before, self._catalog.model(model.name).serving)
        except FastserveError as error:
            record = self._catalog.model(model.name)
            if not record.versions or error.reason == "invalid":
                record.problem = error.message
                self._catalog.publish(record)
            self._listener.failed(model.name, error.message)

    def _is_settled(self, key: tuple[str, int], found: _Look, now: float) -> bool:
        seen = found.fingerprints.get(key)
        if seen is None:
            self._sights.pop(key, None)
            return False
        sight = self._sights.get(key)
        if sight is None or sight.fingerprint != seen:
            # At first sight a folder counts as unchanged for as long as its files say.
            age = (self._wall_clock_ns() - seen.newest_mtime_ns) / 1e9
            is_old = sight is None and age >= self._settle_seconds
            since = now - self._settle_seconds if is_old else now
            sight = self._sights[key] = _Sight(seen, since, is_complete=False)
        sight.is_complete = key in found.complete
        return sight.is_complete or now - sight.since >= self._settle_seconds

    def _is_to_load(self, model: ModelRecord | None, number: int, fingerprint: Fingerprint) -> bool:
        record = None if model is None else model.versions.get(number)
        if record is None:
            return True
        if record.fingerprint is None:
            # One that the policy left is not the folder's change. One that failed before its folder
            # could be looked at is: the folder can be looked at now.
            is_unread = record.state is State.FAILED and record.path is not None
            return is_unread or record.state is State.NEW
        return record.fingerprint != fingerprint or _is_due_again(record)

    def _drop_gone(self, names: Collection[str], only: Collection[str] | None) -> None:
        for model in tuple(self._catalog.models):
            if only is not None and model.name not in only:
                continue
            is_from_disk = any(record.path is not None for record in model.versions.values())
            if model.name not in names and (is_from_disk or not model.versions):
                self._lifecycle.forget_model(model.name)
                self._listener.left(model.name, ())

    def _next_settled(self, now: float) -> float | None:
        waits = [
            sight.since + self._settle_seconds - now
            for sight in self._sights.values()
            if not sight.is_complete and now - sight.since < self._settle_seconds
        ]
        return max(0.01, min(waits)) if waits else None


def _waits_for_requests(model: ModelRecord | None, number: int) -> bool:
    """It is loaded when a request asks for it, and read then."""
    record = None if model is None else model.versions.get(number)
    return record is not None and record.is_on_demand and not record.is_ready


def _gone_versions(record: ModelRecord, model: FoundModel) -> set[int]:
    there = {version.number for version in model.versions}
    return {
        version.number
        for version in record.versions.values()
        if version.path is not None and version.number not in there
    }


def _is_due_again(record: VersionRecord) -> bool:
    """Its last load failed, whether or not it answers with the files of before."""
    return (
        record.state in {State.FAILED, State.READY}
        and 0 < record.failures < _MAX_FAILURES
        and time.monotonic() - record.failed_at >= _RETRY_SECONDS
    )


def changed_models(root: Path, paths: Collection[str]) -> set[str]:
    """The models whose folders the paths lie in."""
    names: set[str] = set()
    for path in paths:
        try:
            parts = Path(path).relative_to(root).parts
        except ValueError:
            continue
        if parts and not parts[0].startswith("."):
            names.add(parts[0])
    return names
