"""From a version's folder to a version that can answer: read, checked, built, inspected, warmed up.

Thread: any but the event loop's; everything here may take as long as the model needs. Nothing is
published: the caller decides when.
"""

import importlib.util
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from fastserve._core import core
from fastserve.config import LimitSettings
from fastserve.errors import FastserveError, Unsupported, VersionFailed, from_core
from fastserve.model_config import ModelConfig, read_model_config
from fastserve.models.external_data import find_external_tensor
from fastserve.models.inspection import BatchingDecision, decide_batching
from fastserve.models.repository import FoundModel, FoundVersion, read_model_file
from fastserve.models.warmup import (
    MAX_AUTOMATIC_ROWS,
    Cost,
    RowsChoice,
    choose_max_rows,
    measure_costs,
)

# Any number does; the same one makes a load repeatable.
_PROBE_SEED: Final = 1


class LoadedVersion(msgspec.Struct, frozen=True):
    """A version that can answer, and what was found out about it on the way."""

    model: str
    number: int
    config: ModelConfig
    inputs: tuple[core.TensorSpec, ...]
    outputs: tuple[core.TensorSpec, ...]
    metadata: core.ModelMetadata
    batching: BatchingDecision
    rows: RowsChoice
    costs: tuple[Cost, ...]
    # Why the warm-up ended without a run; empty when it did not.
    warmup_problem: str
    file_bytes: int
    load_seconds: float
    version: core.Version

    @property
    def max_rows(self) -> int:
        return self.rows.max_rows


def find_runtime_library() -> Path:
    """ONNX Runtime's shared library inside the installed package, which is not imported.

    Importing the package would load a second copy of the library. Errors: VersionFailed.
    """
    spec = importlib.util.find_spec("onnxruntime")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        found = sorted(Path(folder, "capi").glob("libonnxruntime.so*"))
        if found:
            return found[0]
    raise VersionFailed(
        "ONNX Runtime is not installed: no libonnxruntime.so in an onnxruntime package; "
        "run `pip install onnxruntime`"
    )


def open_library(path: Path) -> core.Library:
    """Opens ONNX Runtime. Errors: VersionFailed and its like, with what was found and needed."""
    try:
        return core.Library(str(path))
    except core.CoreError as error:
        raise from_core(error) from error


class Loader:
    """Loads versions into one engine. Thread: any number at once."""

    def __init__(
        self, engine: core.Engine, library: core.Library, root: Path, limits: LimitSettings
    ) -> None:
        self._engine = engine
        self._library = library
        self._root = root
        self._limits = limits

    def load(self, model: FoundModel, found: FoundVersion) -> LoadedVersion:
        """The version, ready to be published. Errors: FastserveError, its message for people."""
        started = time.monotonic()
        if found.problem:
            raise VersionFailed(found.problem)
        config = (
            ModelConfig()
            if model.settings is None
            else read_model_config(model.settings, self._root)
        )
        data = read_model_file(found.path, self._root, self._limits.max_model_bytes)
        try:
            return self._build(model.name, found.number, config, data, started)
        except core.CoreError as error:
            raise from_core(error) from error

    def _build(
        self, model: str, number: int, config: ModelConfig, data: bytes, started: float
    ) -> LoadedVersion:
        external = find_external_tensor(data)
        if external is not None:
            raise Unsupported(
                f"tensor {external!r} keeps its data in another file, which is refused: save the "
                "model as one file (onnx.save_model(model, path, save_as_external_data=False))"
            )
        session = core.Session(self._library, data, session_options(config), f"{model}/{number}")
        inputs, outputs = tuple(session.inputs), tuple(session.outputs)
        batching = decide_batching(
            inputs,
            outputs,
            lambda: session.probe_row_independence(_PROBE_SEED),
            config.batching.enabled,
        )
        version, rows, costs, problem = self._warm(model, number, config, session, batching)
        return LoadedVersion(
            model=model,
            number=number,
            config=config,
            inputs=inputs,
            outputs=outputs,
            metadata=session.metadata,
            batching=batching,
            rows=rows,
            costs=tuple(costs),
            warmup_problem=problem,
            file_bytes=len(data),
            load_seconds=time.monotonic() - started,
            version=version,
        )

    def _warm(
        self,
        model: str,
        number: int,
        config: ModelConfig,
        session: core.Session,
        batching: BatchingDecision,
    ) -> tuple[core.Version, RowsChoice, list[Cost], str]:
        """The version with its largest batch chosen and its costs taught."""

        def make(max_rows: int) -> core.Version:
            return self._engine.make_version(
                session,
                model=model,
                number=number,
                is_batching=batching.is_batching,
                has_rows_axis=batching.has_rows_axis,
                max_rows=max_rows,
                has_fixed_rows=batching.fixed_rows > 0,
                max_delay_ns=config.batching.max_delay_us * 1000,
                weight=config.weight,
                max_queue_rows=config.limits.max_queue_rows,
                max_queue_bytes=config.limits.max_queue_bytes,
                allow_inline=config.inline,
            )

        if not batching.is_batching:
            single = RowsChoice(max(1, batching.fixed_rows), "requests do not share runs")
            version = make(single.max_rows)
            costs, problem = _measure(version, 1)
            return version, single, costs, problem
        configured = config.batching.max_rows
        if configured is not None:
            version = make(configured)
            costs, problem = _measure(version, configured)
            return version, choose_max_rows(costs, configured), costs, problem
        # The largest batch is part of a version for good, so costs are measured on a version that
        # is thrown away, then taught to the one that stays.
        trial = make(MAX_AUTOMATIC_ROWS)
        costs, problem = _measure(trial, MAX_AUTOMATIC_ROWS)
        choice = choose_max_rows(costs, None)
        version = make(choice.max_rows)
        _measure(version, choice.max_rows)
        return version, choice, costs, problem


def session_options(config: ModelConfig) -> dict[str, Any]:
    """What the core's Session is given; the rest is left to its measured defaults."""
    runtime = config.runtime
    options: dict[str, Any] = {
        "intra_op_threads": runtime.intra_op_threads or 1,
        "inter_op_threads": runtime.inter_op_threads,
        "allow_spinning": runtime.allow_spinning,
        "optimization_level": runtime.optimization_level,
        "providers": [(provider.name, dict(provider.options)) for provider in runtime.providers],
        "config_entries": dict(runtime.config_entries),
    }
    if runtime.cpu_arena is not None:
        options["cpu_arena"] = runtime.cpu_arena
    if runtime.memory_pattern is not None:
        options["memory_pattern"] = runtime.memory_pattern
    return options


def _measure(version: core.Version, max_rows: int) -> tuple[list[Cost], str]:
    """Costs, and why there are none. A model may refuse made-up rows and serve real ones well."""

    def run(rows: int) -> int:
        try:
            return version.warm_up(rows)
        except core.CoreError as error:
            raise from_core(error) from error

    try:
        return measure_costs(run, max_rows=max_rows), ""
    except FastserveError as error:
        return [], error.message
