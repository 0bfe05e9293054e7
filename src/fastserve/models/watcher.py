"""When to look at the repository: after changes that the kernel tells of, and every few seconds.

The latter is for file systems that tell of nothing (network, some containers).

Thread: the event loop's.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

from fastserve.models.follower import changed_models

# Between full looks of `--watch`: what the kernel did not tell is found within this.
RESCAN_SECONDS: Final = 10.0
# The kernel's news is collected for as long, so that a copy of many files is one change.
_COLLECT_MS: Final = 200
_STEP_MS: Final = 20


class Looker(Protocol):
    """Who looks: a follower."""

    async def look(self, only: Collection[str] | None = None) -> float | None:
        """At all models or `only` those. Returns the seconds until something has settled."""


class Watcher:
    """Runs a follower until it is cancelled. `poll_seconds` 0: told by the kernel."""

    def __init__(
        self,
        follower: Looker,
        root: Path,
        on_problem: Callable[[str], None],
        *,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._follower = follower
        self._root = root
        self._on_problem = on_problem
        self._every_seconds = poll_seconds or RESCAN_SECONDS
        self._is_told = not poll_seconds
        self._clock = clock
        self._changed: set[str] = set()
        self._news = asyncio.Event()

    async def run(self, due: float | None) -> None:
        """Looks again and again; `due`: seconds until something settles that is there already.

        However steady the news of some models is, all of them are looked at in time.
        """
        listening = asyncio.create_task(self._listen()) if self._is_told else None
        full = self._clock() + self._every_seconds
        settled = None if due is None else self._clock() + due
        try:
            while True:
                at = full if settled is None else min(full, settled)
                names = await self._wait(at - self._clock())
                if names is None or self._clock() >= at:
                    names, full = None, self._clock() + self._every_seconds
                try:
                    due = await self._follower.look(names)
                except Exception as error:  # noqa: BLE001 - following goes on, whatever happens
                    # The repository itself may be gone for the moment: what serves stays.
                    self._on_problem(f"the repository was not looked at: {error}")
                    due = None
                settled = None if due is None else self._clock() + due
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def tell(self, models: Collection[str]) -> None:
        """News of these models: they are looked at next."""
        self._changed.update(models)
        if self._changed:
            self._news.set()

    async def _wait(self, seconds: float) -> set[str] | None:
        """The models that there is news of; None, which means all, when there is none in time."""
        if not self._news.is_set():
            try:
                async with asyncio.timeout(max(0.0, seconds)):
                    await self._news.wait()
            except TimeoutError:
                return None
        self._news.clear()
        changed, self._changed = self._changed, set()
        return changed

    async def _listen(self) -> None:
        from watchfiles import awatch  # noqa: PLC0415 - only with --watch

        try:
            async for changes in awatch(
                self._root, debounce=_COLLECT_MS, step=_STEP_MS, ignore_permission_denied=True
            ):
                self.tell(changed_models(self._root, {path for _, path in changes}))
        except (OSError, RuntimeError) as error:
            # No more watches, for example: looking every few seconds goes on.
            self._on_problem(
                f"the kernel does not tell of changes, so they are looked for: {error}"
            )
