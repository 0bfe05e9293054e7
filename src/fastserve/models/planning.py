"""What serving a repository would take, found out by loading it: nothing is listened on."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fastserve._core import core
from fastserve.config import LimitSettings, Settings
from fastserve.errors import FastserveError, ModelNotFound, quoted
from fastserve.models.catalog import parse_version
from fastserve.models.loader import LoadedVersion, Loader, find_runtime_library, open_library
from fastserve.models.repository import FoundModel, FoundVersion, scan_repository
from fastserve.models.threads import ThreadPlan, plan_threads, read_cpu_budget


class ModelPlan(msgspec.Struct, frozen=True):
    """One version: what was found out, or `problem` when it could not be loaded."""

    model: str
    number: int
    problem: str = ""
    loaded: LoadedVersion | None = None
    # By how much this process grew while it was loaded and warmed up.
    resident_bytes: int = 0


class ServingPlan(msgspec.Struct, frozen=True):
    """Threads, models by name, and (path, reason) of what is not taken."""

    threads: ThreadPlan
    models: tuple[ModelPlan, ...]
    problems: tuple[tuple[str, str], ...]
    runtime_version: str


def plan_serving(settings: Settings) -> ServingPlan:
    """Loads the newest version of each model, one after another, and says what it took.

    Errors: InvalidConfig for the repository, VersionFailed when there is no ONNX Runtime. A model
    that fails is in the plan with its problem.
    """
    scan = scan_repository(settings.repository)
    library = open_library(find_runtime_library())
    threads = plan_threads(
        read_cpu_budget(),
        io_threads=settings.threads.io_threads,
        executors=settings.threads.executors,
    )
    with_engine = _Bench(settings.repository, library, settings.limits)
    try:
        models = tuple(_plans(scan.models, with_engine))
    finally:
        with_engine.close()
    return ServingPlan(threads, models, scan.problems, library.version)


def describe_version(settings: Settings, name: str, version: str = "") -> ModelPlan:
    """One version of a repository, loaded and looked at; "" is the newest.

    Errors: as a client gets them.
    """
    scan = scan_repository(settings.repository)
    found = {model.name: model for model in scan.models}.get(name)
    if found is None:
        known = ", ".join(model.name for model in scan.models) or "none"
        raise ModelNotFound(f"no model {quoted(name)} in the repository; there are: {known}")
    chosen = found.newest
    if version:
        number = parse_version(version)
        chosen = next((one for one in found.versions if one.number == number), None)
    if chosen is None:
        raise ModelNotFound(f"model {quoted(name)} has no version {version or 'at all'}")
    bench = _Bench(settings.repository, open_library(find_runtime_library()), settings.limits)
    try:
        return bench.plan(found, chosen)
    finally:
        bench.close()


class _Bench:
    """An engine that serves nobody, to load into."""

    def __init__(self, root: Path, library: core.Library, limits: LimitSettings) -> None:
        self._engine = core.Engine(
            executors=1,
            max_ports=1,
            max_queue_rows=limits.max_queue_rows,
            max_queue_bytes=limits.max_queue_bytes,
            max_total_queue_bytes=limits.max_total_queue_bytes,
            inline_budget_ns=0,
        )
        self._loader = Loader(self._engine, library, root, limits)

    def plan(self, model: FoundModel, version: FoundVersion) -> ModelPlan:
        before = _resident_bytes()
        try:
            loaded = self._loader.load(model, version)
        except FastserveError as error:
            return ModelPlan(model.name, version.number, problem=error.message)
        grown = max(0, _resident_bytes() - before)
        return ModelPlan(model.name, version.number, loaded=loaded, resident_bytes=grown)

    def close(self) -> None:
        self._engine.close()


def _plans(models: tuple[FoundModel, ...], bench: _Bench) -> Iterator[ModelPlan]:
    for model in models:
        if model.newest is None:
            yield ModelPlan(model.name, 0, problem=model.problem)
        else:
            yield bench.plan(model, model.newest)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
