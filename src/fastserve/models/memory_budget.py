"""`--memory-budget`: versions that nobody asked for longest give way to those that are asked for.

A version counts with the bytes that it was measured to need. Given up first are versions that do
not serve (kept for going back), then those whose last request is longest ago; never the version
that serves the model which is being loaded. A version that was given up is loaded again when a
request asks for it.

Thread: the event loop's.
"""

from collections.abc import Iterable

from fastserve.errors import VersionFailed, quoted
from fastserve.models.catalog import Catalog
from fastserve.models.drain import Drain
from fastserve.models.loader import LoadedVersion, LoadJob
from fastserve.models.record import VersionRecord
from fastserve.models.traffic import Traffic


class MemoryBudget:
    """Room for `budget_bytes` of versions; 0 is no bound."""

    def __init__(self, budget_bytes: int, catalog: Catalog, traffic: Traffic, drain: Drain) -> None:
        self.budget_bytes = budget_bytes
        self._catalog = catalog
        self._traffic = traffic
        self._drain = drain
        # Of loads under way, by model and number.
        self._promised: dict[tuple[str, int], int] = {}

    @property
    def used_bytes(self) -> int:
        """What loaded versions and loads under way need."""
        loaded = sum(version.memory_bytes for version in self._catalog.ready_versions)
        return loaded + sum(self._promised.values())

    def has_room(self, memory_bytes: int) -> bool:
        return not self.budget_bytes or self.used_bytes + memory_bytes <= self.budget_bytes

    async def make(self, job: LoadJob, memory_bytes: int) -> None:
        """Returns when there is room, after versions that gave way are gone.

        Errors: VersionFailed when the budget is too small, or all that is loaded is needed.
        """
        if not self.budget_bytes:
            return
        while not self.has_room(memory_bytes):
            victim = next(iter(self._candidates(job.model)), None)
            if victim is None:
                raise VersionFailed(
                    f"version {job.number} of model {quoted(job.model)} needs {memory_bytes} bytes "
                    f"of memory; the budget of {self.budget_bytes} has "
                    f"{max(0, self.budget_bytes - self.used_bytes)} left and nothing that may be "
                    "unloaded: raise --memory-budget or unload models"
                )
            self._traffic.evict(victim, "gave way to another model (memory budget)")
            await self._drain.wait(victim)
        self._promised[job.model, job.number] = memory_bytes

    def leave(self, job: LoadJob) -> None:
        """The load has ended: its version counts by itself, or not at all."""
        self._promised.pop((job.model, job.number), None)

    def _candidates(self, loading: str) -> Iterable[VersionRecord]:
        """Those that may give way, the one that should first."""
        ranked: list[tuple[bool, int, VersionRecord]] = []
        for model in self._catalog.models:
            for record in model.versions.values():
                if record.loaded is None or not record.is_ready or record.path is None:
                    continue
                routed = self._catalog.routes.named(model.name)
                is_serving = record.number == model.serving or record.number in routed
                if is_serving and model.name == loading:
                    continue
                ranked.append((is_serving, -_idle_ns(record, record.loaded), record))
        return (record for _, _, record in sorted(ranked, key=lambda entry: entry[:2]))


def _idle_ns(record: VersionRecord, loaded: LoadedVersion) -> int:
    """Since its last request, or since it is ready if it had none."""
    idle = loaded.version.idle_ns
    return int(record.state_seconds * 1e9) if idle < 0 else idle
