"""`model check`: reads and tries a version as a load would, and loads nothing.

Thread: the event loop's; the work runs in threads and in the child process.
"""

import time
from collections.abc import Iterator

import msgspec

from fastserve._core import core
from fastserve.errors import FastserveError, ModelNotFound, VersionNotFound, quoted
from fastserve.models.checker import CheckReport
from fastserve.models.lineage import Lineage
from fastserve.models.load_pool import LoadPool
from fastserve.models.loader import Loader, LoadJob
from fastserve.models.repository import FoundModel, Repository


class Inspection(msgspec.Struct, kw_only=True):
    """What was found. `problem` is empty when the version would load."""

    number: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()
    lineage: Lineage | None = None
    inputs: tuple[core.TensorSpec, ...] = ()
    outputs: tuple[core.TensorSpec, ...] = ()
    memory_bytes: int = 0
    seconds: float = 0.0


class Inspector:
    """Inspects versions of one repository."""

    def __init__(self, repository: Repository, loader: Loader, pool: LoadPool) -> None:
        self._repository = repository
        self._loader = loader
        self._pool = pool

    async def inspect(self, name: str, number: int) -> Inspection:
        """`number` 0 is the newest. Errors: ModelNotFound, VersionNotFound."""
        found = await self._pool.run(self._repository.find, name)
        if found is None:
            raise ModelNotFound(f"the repository has no model {quoted(name)}")
        chosen = number or (found.newest.number if found.newest else 0)
        if chosen not in {version.number for version in found.versions}:
            known = ", ".join(str(version.number) for version in found.versions) or "none"
            raise VersionNotFound(
                f"model {quoted(name)} has no version {chosen} in the repository; it has {known}"
            )
        return await self._pool.run(self._inspect, found, chosen)

    def _inspect(self, found: FoundModel, number: int) -> Inspection:
        started = time.monotonic()
        inspection = Inspection(number=number)
        version = next(version for version in found.versions if version.number == number)
        try:
            settings = self._repository.read_settings(found)
            inspection.notes = settings.ignored
            job = LoadJob(model=found.name, number=number, settings=settings, folder=version.path)
            pinned, report = self._loader.check(job)
            declared = {} if pinned.manifest is None else pinned.manifest.lineage
            inspection.lineage = Lineage(
                digest=pinned.digest,
                model_sha256=pinned.sha256[settings.config.model_file],
                file_bytes=pinned.file_bytes,
                opsets=pinned.facts.opsets,
                declared={**settings.config.lineage, **declared},
            )
            if report is not None:
                inspection.inputs, inspection.outputs = report.inputs, report.outputs
                inspection.memory_bytes = report.memory_bytes
                inspection.notes += tuple(_notes(report))
        except FastserveError as error:
            inspection.problem = error.message
        inspection.seconds = time.monotonic() - started
        return inspection


def _notes(report: CheckReport) -> Iterator[str]:
    yield f"batching: {report.rows_verdict}"
    if report.run_problem:
        yield f"made-up rows cannot be run: {report.run_problem}"
