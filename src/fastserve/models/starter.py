"""The first look at the repository: what is loaded when the server starts.

Versions whose files are still being written are waited for. With a memory budget, models are loaded
by name while there is room, and the others when a request asks for them.

Thread: the event loop's.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from fastserve.errors import FastserveError
from fastserve.models.catalog import Catalog
from fastserve.models.follower import Follower
from fastserve.models.lifecycle import Lifecycle
from fastserve.models.memory_budget import MemoryBudget
from fastserve.models.repository import Scan, file_bytes
from fastserve.models.traffic import Traffic

# Of memory for each byte of its files, until a version has been measured.
_GUESSED_MEMORY: Final = 2


async def load_all(catalog: Catalog, follower: Follower) -> None:
    """Loads every model that the repository holds; what fails has its reason in its record."""
    due: float | None = 0.0
    while due is not None:
        await asyncio.sleep(due)
        due = await follower.look()
        catalog.settle()


async def load_named(
    catalog: Catalog, lifecycle: Lifecycle, scan: Scan, names: Collection[str]
) -> list[str]:
    """Enters every model, and loads those named ("*": all). Returns what failed, with reasons."""
    for found in scan.models:
        model = await lifecycle.register(found)
        model.is_unloaded = True
        catalog.publish(model)
    wanted = [found.name for found in scan.models] if "*" in names else list(names)

    async def load(name: str) -> str:
        try:
            await lifecycle.load(name)
        except FastserveError as error:
            return f"{name}: {error.message}"
        return ""

    problems = await asyncio.gather(*(load(name) for name in wanted))
    catalog.settle()
    return [problem for problem in problems if problem]


async def offer_all(
    catalog: Catalog,
    lifecycle: Lifecycle,
    traffic: Traffic,
    budget: MemoryBudget,
    scan: Scan,
) -> None:
    """Enters every model; loads while the budget has room, and offers the rest on demand."""
    for found in scan.models:
        model = await lifecycle.register(found)
        wanted = traffic.wanted(model)
        if model.problem or not wanted.serving:
            catalog.publish(model)
            continue
        model.serving = wanted.serving
        record = model.versions[wanted.serving]
        record.is_on_demand = True
        record.reason = "is loaded when a request asks for it (memory budget)"
        catalog.publish(model)
    catalog.settle()
    for model in tuple(catalog.models):
        chosen = model.versions.get(model.serving)
        if chosen is None or chosen.path is None:
            continue
        if not budget.has_room(_GUESSED_MEMORY * file_bytes(chosen.path)):
            return
        try:
            await lifecycle.load(model.name)
        except FastserveError:
            continue  # the record has the reason
