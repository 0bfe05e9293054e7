"""Routes on disk: what stands for each model, what stood before it, and how often it changed.

One file of the state folder, replaced at every change. A change is on the disk before it is made,
so that a kill at any moment leaves the last one that was acknowledged, or the one that was being
acknowledged. Without a state folder routes last as long as the process.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from fastserve.durable.state_file import read_state, write_state
from fastserve.errors import NotKept, Unsupported
from fastserve.model_config import RoutingConfig
from fastserve.routing.route import Route

FILE: Final = "routes.state"

# Unsupported: a newer fastserve wrote what is there, and it is left alone.
_UNWRITTEN: Final = (OSError, Unsupported)

# Who gave a route: a call (of a person or of a rollout), or the model's own file.
Source = Literal["", "call", "model.toml"]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model."""

    # Counts changes, also those that take the route away: a number never comes twice.
    generation: int = 0
    # None: requests get the version that serves.
    route: Route | None = None
    # What stood before, for going back.
    previous: Route | None = None
    source: Source = ""
    # [routing] of model.toml when it last counted; another one there counts again.
    configured: RoutingConfig = RoutingConfig()
    # Of the last change.
    actor: str = ""
    reason: str = ""
    time: float = 0.0  # seconds since the epoch


class RouteStore:
    """Thread: the event loop's; the disk is waited for in a thread."""

    def __init__(self, folder: Path | None, on_problem: Callable[[str], None]) -> None:
        """Errors: ArtifactCorrupt and Unsupported for a file that cannot be read."""
        self._path = None if folder is None else folder / FILE
        self._on_problem = on_problem
        self._kept: dict[str, Kept] = {}
        self._writing = asyncio.Lock()
        if self._path is not None:
            found = read_state(self._path, dict[str, Kept])
            for problem in found.skipped:
                on_problem(problem)
            self._kept = found.value or {}
        self._saved = self._kept

    @property
    def all(self) -> Mapping[str, Kept]:
        return self._kept

    def get(self, model: str) -> Kept:
        return self._kept.get(model, _NOTHING)

    def note(self, model: str, kept: Kept) -> None:
        """Holds from now on; on the disk with the next `save` or `put`."""
        self._kept = {**self._kept, model: kept}

    async def put(self, model: str, kept: Kept) -> None:
        """Holds, and is on the disk, when this returns. Errors: NotKept; then nothing changed."""
        async with self._writing:
            try:
                await self._write({**self._kept, model: kept})
            except _UNWRITTEN as error:
                raise NotKept(f"the route is as it was: {_unwritten(error)}") from error
            self._kept = {**self._kept, model: kept}

    async def save(self) -> None:
        """What was noted is on the disk when this returns, or a problem was reported."""
        if self._kept is self._saved:
            return
        async with self._writing:
            try:
                await self._write(self._kept)
            except _UNWRITTEN as error:
                self._on_problem(f"a restart would not know the last routes: {_unwritten(error)}")

    async def _write(self, kept: dict[str, Kept]) -> None:
        if self._path is not None:
            await asyncio.to_thread(write_state, self._path, kept)
        self._saved = kept


def _unwritten(error: OSError | Unsupported) -> str:
    reason = error.message if isinstance(error, Unsupported) else error.strerror
    return f"{FILE} cannot be written: {reason or error}"


_NOTHING: Final = Kept()
