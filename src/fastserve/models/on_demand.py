"""Loads versions when a request asks for them; the request waits, within its deadline.

The data plane keeps the request and says what it waits for; whatever becomes of the load is
published, and then the request is answered.

Thread: the event loop's.
"""

import asyncio
import contextlib
from typing import Final

from fastserve.errors import FastserveError
from fastserve.models.catalog import Catalog
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.loader import LoadedVersion
from fastserve.models.record import VersionRecord
from fastserve.models.state import State

# A version that failed is not tried again at every request.
_RETRY_SECONDS: Final = 10.0


class OnDemand:
    """Answers wishes of the data plane and of the control plane."""

    def __init__(self, catalog: Catalog, lifecycle: Lifecycle) -> None:
        self._catalog = catalog
        self._lifecycle = lifecycle
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}

    def start(self, name: str, version: str) -> None:
        """A request waits for this version ("" is what serves)."""
        # A version that is not there any more needs no load.
        with contextlib.suppress(FastserveError):
            record = self._catalog.resolve(name, version)
            if record.is_on_demand and not record.is_ready:
                self._task(record)

    async def ready(self, name: str, version: str) -> LoadedVersion:
        """The version that answers, loaded first if need be. Errors: as Catalog.find."""
        record = self._catalog.resolve(name, version)
        if record.is_on_demand and not record.is_ready:
            # Others may wait for it too: a caller that leaves does not take the load back.
            await asyncio.shield(self._task(record))
        return self._catalog.find(name, version)

    async def close(self) -> None:
        """Cancels what has not begun to load."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _task(self, record: VersionRecord) -> asyncio.Task[None]:
        """The one load of this version that is under way."""
        key = (record.model, record.number)
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(
                self._load(*key), name=f"load {record.model}/{record.number} on demand"
            )
            self._tasks[key] = task
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return task

    async def _load(self, name: str, number: int) -> None:
        try:
            await self._lifecycle.load_again(name, number)
        except FastserveError as error:
            model = self._catalog.get(name)
            record = None if model is None else model.versions.get(number)
            if model is None or record is None:
                return
            if record.state is not State.FAILED:
                record.reason = error.message
            record.is_on_demand = False
            self._catalog.publish(model)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._offer_again, name, number)

    def _offer_again(self, name: str, number: int) -> None:
        model = self._catalog.get(name)
        record = None if model is None else model.versions.get(number)
        if model is None or record is None or model.is_unloaded:
            return
        if record.state in (State.NEW, State.UNLOADED, State.FAILED):
            record.is_on_demand = True
            self._catalog.publish(model)
