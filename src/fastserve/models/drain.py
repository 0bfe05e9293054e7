"""Versions on their way out: they answer what they have, then their memory goes back.

The core frees a version after its last request, on a thread of its own; here it is awaited, so that
a state and an operator can be told.

Thread: the event loop's.
"""

import asyncio
from typing import Final

from fastserve._core import core
from fastserve.models.catalog import Catalog
from fastserve.models.loader import LoadedVersion
from fastserve.models.record import VersionRecord
from fastserve.models.state import State

# How often a version is looked at: at first every millisecond, for requests are short.
_FIRST_SECONDS: Final = 0.001
_LONGEST_SECONDS: Final = 0.1
# The handle that the drain itself holds.
_OWN_REFERENCES: Final = 1


class Drain:
    """Follows versions that were taken out of traffic until they are gone."""

    def __init__(self, catalog: Catalog, engine: core.Engine) -> None:
        self._catalog = catalog
        self._engine = engine
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, record: VersionRecord, reason: str) -> None:
        """Takes the record out of READY; the caller publishes what answers instead."""
        loaded, record.loaded = record.loaded, None
        self._catalog.move(record, State.DRAINING, reason)
        if loaded is None:
            raise AssertionError(f"{record.model}/{record.number} was ready without a version")
        task = asyncio.get_running_loop().create_task(
            self._finish(record, loaded, reason), name=f"drain {record.model}/{record.number}"
        )
        self._tasks[id(record)] = task
        task.add_done_callback(lambda _: self._tasks.pop(id(record), None))

    async def wait(self, record: VersionRecord) -> None:
        """Until the record's version is gone; at once when it does not drain."""
        task = self._tasks.get(id(record))
        if task is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        """Stops following; the core goes on freeing."""
        for task in tuple(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _finish(self, record: VersionRecord, loaded: LoadedVersion, reason: str) -> None:
        # The task's frame holds the only reference from here on.
        version = loaded.version
        del loaded
        seconds = _FIRST_SECONDS
        while version.references > _OWN_REFERENCES:
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, _LONGEST_SECONDS)
        del version
        while self._engine.dying_versions:
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, _LONGEST_SECONDS)
        self._catalog.move(record, State.UNLOADED, reason)
        model = self._catalog.get(record.model)
        if model is not None and model.versions.get(record.number) is record:
            self._catalog.publish(model)
