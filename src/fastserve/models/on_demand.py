"""Loads versions when a request asks for them; the request waits, within its deadline.

The data plane keeps the request and says what it waits for; whatever becomes of the load is
published, and then the request is answered.

Thread: the event loop's.
"""

import asyncio
from typing import Final

from fastserve.errors import FastserveError, ModelNotFound, quoted
from fastserve.models.attempt import Attempts, LoadOptions
from fastserve.models.catalog import Catalog
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import LoadedVersion
from fastserve.models.record import VersionRecord
from fastserve.models.repository import Repository
from fastserve.models.state import State

# A version that failed is not tried again at every request.
_RETRY_SECONDS: Final = 10.0
# The version answered before; what clients need of it has not changed.
_AS_BEFORE: Final = LoadOptions(allow_signature_change=True)


class OnDemand:
    """Answers wishes of the data plane and of the control plane."""

    def __init__(
        self,
        catalog: Catalog,
        repository: Repository,
        pool: LoadPool,
        attempts: Attempts,
        lifecycle: Lifecycle,
    ) -> None:
        self._catalog = catalog
        self._repository = repository
        self._pool = pool
        self._attempts = attempts
        self._lifecycle = lifecycle
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, version: str) -> None:
        """A request waits for this version ("" is what serves)."""
        try:
            record = self._catalog.resolve(name, version)
        except FastserveError:
            return
        if record.is_ready or record.state.is_underway or not record.is_on_demand:
            return
        task = asyncio.get_running_loop().create_task(
            self._load(record), name=f"load {name}/{record.number} on demand"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ready(self, name: str, version: str) -> LoadedVersion:
        """The version that answers, loaded first if need be. Errors: as Catalog.find."""
        record = self._catalog.resolve(name, version)
        if record.is_on_demand and not record.is_ready:
            await self._load(record)
        return self._catalog.find(name, version)

    async def close(self) -> None:
        """Cancels what has not begun to load."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _load(self, wanted: VersionRecord) -> None:
        name, number = wanted.model, wanted.number
        async with self._lifecycle.lock(name):
            model = self._catalog.get(name)
            record = None if model is None else model.versions.get(number)
            if model is None or record is None or record.is_ready or not record.is_on_demand:
                return
            try:
                found = await self._pool.run(self._repository.find, name)
                if found is None:
                    raise ModelNotFound(f"the repository has no model {quoted(name)} any more")
                settings = await self._pool.run(self._repository.read_settings, found)
                job = self._lifecycle.job(model, number, settings)
                await self._attempts.bring_up(model, job, _AS_BEFORE)
                self._lifecycle.end(model)
            except FastserveError as error:
                if record.state is not State.FAILED:
                    record.reason = error.message
                record.is_on_demand = False
                self._catalog.publish(model)
                asyncio.get_running_loop().call_later(
                    _RETRY_SECONDS, self._offer_again, name, number
                )

    def _offer_again(self, name: str, number: int) -> None:
        model = self._catalog.get(name)
        record = None if model is None else model.versions.get(number)
        if model is None or record is None or model.is_unloaded:
            return
        if record.state in (State.NEW, State.UNLOADED, State.FAILED):
            record.is_on_demand = True
            self._catalog.publish(model)
