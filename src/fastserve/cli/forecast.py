"""What a server would find out about a repository: loads it in this process and measures."""

import os
from pathlib import Path
from typing import Any

import msgspec

from fastserve._core import core
from fastserve.config import LifecycleSettings, Settings
from fastserve.errors import FastserveError
from fastserve.models.checked_cache import CheckedCache
from fastserve.models.checker import CheckLimits
from fastserve.models.loader import (
    LoadedVersion,
    Loader,
    LoadJob,
    find_runtime_library,
    open_library,
)
from fastserve.models.repository import FoundModel, Repository
from fastserve.models.threads import ThreadPlan, plan_threads, read_cpu_budget
from fastserve.models.warmup import Cost


class ModelForecast(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a model as it would be served; `problem` says why it would not."""

    name: str
    version: int = 0
    problem: str = ""
    is_batching: bool = False
    batching: str = ""
    max_rows: int = 0
    max_rows_reason: str = ""
    file_bytes: int = 0
    # Growth of this process's resident memory by the load and the warm-up.
    memory_bytes: int = 0
    load_seconds: float = 0.0
    costs: tuple[Cost, ...] = ()


class Forecast(msgspec.Struct, frozen=True):
    """Threads, models by name, and what lies in the repository and is no model: (place, reason)."""

    threads: ThreadPlan
    models: tuple[ModelForecast, ...]
    problems: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def make_forecast(settings: Settings, *, has_repository: bool) -> Forecast:
    """Loads what `serve` would load, one model after the other so that memory can be told apart.

    Without a repository it tells of threads alone. Errors: InvalidConfig when the repository cannot
    be read, VersionFailed without ONNX Runtime.
    """
    limits = settings.limits
    threads = plan_threads(
        read_cpu_budget(),
        io_threads=settings.threads.io_threads,
        executors=settings.threads.executors,
        inline_budget_us=limits.inline_budget_us,
    )
    if not has_repository:
        return Forecast(threads, (), ())
    source = Repository(settings.repository)
    scan = source.scan()
    library = open_library(find_runtime_library())
    engine = core.Engine(
        executors=threads.executors,
        max_ports=1,
        max_queue_rows=limits.max_queue_rows,
        max_queue_bytes=limits.max_queue_bytes,
        max_total_queue_bytes=limits.max_total_queue_bytes,
        inline_budget_ns=threads.inline_budget_us * 1000,
    )
    try:
        # In this process: what is measured is what a server would need.
        loader = Loader(
            engine,
            library,
            root=settings.repository,
            limits=limits,
            checker=None,
            check_limits=CheckLimits(),
            checked=CheckedCache(),
        )
        kept: list[LoadedVersion] = []  # as a server keeps them: memory is not used twice
        models = tuple(
            _forecast(source, loader, model, kept)
            for model in scan.models
            if _is_loaded(settings.lifecycle, model.name)
        )
    finally:
        engine.close()
    return Forecast(threads, models, scan.problems)


def _is_loaded(lifecycle: LifecycleSettings, name: str) -> bool:
    """Whether `serve` loads the model at its start."""
    names = lifecycle.load_models
    return not lifecycle.explicit or name in names or "*" in names


def _forecast(
    source: Repository, loader: Loader, model: FoundModel, kept: list[LoadedVersion]
) -> ModelForecast:
    if model.newest is None:
        return ModelForecast(name=model.name, problem=model.problem)
    before = _resident_bytes()
    try:
        job = LoadJob(
            model=model.name,
            number=model.newest.number,
            settings=source.read_settings(model),
            folder=model.newest.path,
        )
        loaded = loader.load(job, lambda _state: None, lambda _bytes: None)
    except FastserveError as error:
        return ModelForecast(name=model.name, version=model.newest.number, problem=error.message)
    kept.append(loaded)
    return ModelForecast(
        name=model.name,
        version=loaded.number,
        is_batching=loaded.batching.is_batching,
        batching=loaded.batching.reason,
        max_rows=loaded.max_rows,
        max_rows_reason=loaded.rows.reason,
        file_bytes=loaded.file_bytes,
        memory_bytes=max(0, _resident_bytes() - before),
        load_seconds=loaded.load_seconds,
        costs=loaded.costs,
    )


def _resident_bytes() -> int:
    """Resident set size; the second field of proc(5)'s statm, in pages."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
