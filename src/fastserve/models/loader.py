"""From a version's files to a version that can answer: read, checked, built, inspected, warmed up.

Thread: any but the event loop's; everything here may take as long as the model needs. Nothing is
published: the caller decides when. Files are read once; what was hashed is what is loaded.
"""

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from fastserve._core import core
from fastserve.config import LimitSettings, read_regular_file
from fastserve.errors import FastserveError, InvalidConfig, VersionFailed, from_core, quoted
from fastserve.model_config import CaptureConfig, ModelConfig, PriorityConfig, TensorConfig
from fastserve.models.checked_cache import CheckedCache
from fastserve.models.checker import CheckLimits, CheckReport
from fastserve.models.example import read_example, wire_inputs
from fastserve.models.golden import check_golden
from fastserve.models.inspection import BatchingDecision, decide_batching
from fastserve.models.model_settings import ModelSettings
from fastserve.models.pinned import PROFILE_FILE, PinnedVersion, pin_version
from fastserve.models.state import State
from fastserve.models.warmup import (
    MAX_AUTOMATIC_ROWS,
    Cost,
    RowsChoice,
    choose_max_rows,
    measure_costs,
)

# Any number does; the same one makes a load repeatable.
_PROBE_SEED: Final = 1


class LoadJob(msgspec.Struct, frozen=True):
    """What to load: a folder of the repository, or files that came with the call."""

    model: str
    number: int
    settings: ModelSettings
    folder: Path | None = None
    pinned: PinnedVersion | None = None

    @property
    def has_own_threads(self) -> bool:
        """ONNX Runtime makes threads for it, which inherit the loading thread's priority."""
        runtime = self.settings.config.runtime
        return runtime.intra_op_threads > 1 or runtime.inter_op_threads > 1


class LoadedVersion(msgspec.Struct, frozen=True):
    """A version that can answer, and what was found out about it on the way."""

    model: str
    number: int
    config: ModelConfig
    # The graph's own.
    inputs: tuple[core.TensorSpec, ...]
    outputs: tuple[core.TensorSpec, ...]
    metadata: core.ModelMetadata
    facts: core.OnnxFacts
    digest: str
    model_sha256: str
    settings_sha256: str
    declared_lineage: dict[str, str]
    # Of reference.profile in the version's folder, as it was read with the rest.
    profile: bytes | None
    batching: BatchingDecision
    rows: RowsChoice
    costs: tuple[Cost, ...]
    # What was not tried or not as asked, for people.
    notes: tuple[str, ...]
    file_bytes: int
    # As measured in the child process; guessed from the files when the check is off.
    memory_bytes: int
    load_seconds: float
    version: core.Version

    @property
    def max_rows(self) -> int:
        return self.rows.max_rows

    @property
    def max_queue_rows(self) -> int:
        """0: the server's bound."""
        return self.config.limits.max_queue_rows

    @property
    def wire_inputs(self) -> tuple[core.TensorSpec, ...]:
        """As clients send them."""
        return tuple(self.version.inputs)

    @property
    def wire_outputs(self) -> tuple[core.TensorSpec, ...]:
        """As clients get them."""
        return tuple(self.version.outputs)

    @property
    def content(self) -> str:
        """Equal for versions of the same files and configuration."""
        return f"{self.digest}:{self.settings_sha256}"


class VersionChecker(Protocol):
    """Tries a version where a crash harms nobody; blocks. Errors: FastserveError."""

    def check(
        self, pinned: PinnedVersion, options: Mapping[str, Any], limits: CheckLimits
    ) -> CheckReport: ...


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
        self,
        engine: core.Engine,
        library: core.Library,
        *,
        root: Path,
        limits: LimitSettings,
        checker: VersionChecker | None,
        check_limits: CheckLimits,
        checked: CheckedCache,
        prepare: Callable[[LoadedVersion], None] = lambda _loaded: None,
    ) -> None:
        """`check_limits` hold where a model's own configuration says nothing.

        A version whose check is in `checked` is not tried again. `prepare` has the last word on a
        version that could answer, before it does: it may refuse it, and tell the engine what to
        keep of its traffic.
        """
        self._engine = engine
        self._library = library
        self._root = root
        self._limits = limits
        self._checker = checker
        self._check_limits = check_limits
        self._checked = checked
        self._prepare = prepare

    def load(
        self,
        job: LoadJob,
        on_state: Callable[[State], None],
        make_room: Callable[[int], None],
    ) -> LoadedVersion:
        """The version, ready to be published.

        `on_state` is told LOADING and WARMING as they begin. `make_room` is told how many bytes of
        memory the version needs before they are taken, and returns when there is room. Errors:
        FastserveError, its message for people.
        """
        started = time.monotonic()
        try:
            return self._load(job, on_state, make_room, started)
        except core.CoreError as error:
            raise from_core(error) from error

    def check(self, job: LoadJob) -> tuple[PinnedVersion, CheckReport | None]:
        """Reads and tries the version as a load would, and builds nothing here.

        Without a report where there is no checker. Errors: FastserveError.
        """
        pinned = self._pin(job)
        if self._checker is None:
            return pinned, None
        config = job.settings.config
        options = session_options(config)
        report = self._checked.find(pinned.digest, options, self._library.version)
        if report is None:
            limits = CheckLimits(
                seconds=config.load.check_seconds or self._check_limits.seconds,
                memory_bytes=config.load.check_memory_bytes or self._check_limits.memory_bytes,
            )
            report = self._checker.check(pinned, options, limits)
            self._checked.keep(pinned.digest, options, self._library.version, report)
        return pinned, report

    def _pin(self, job: LoadJob) -> PinnedVersion:
        if job.pinned is not None:
            return job.pinned
        if job.folder is None:
            raise VersionFailed("the version has neither a folder nor files")
        return pin_version(
            job.folder,
            self._root,
            model_file=job.settings.config.model_file,
            max_bytes=self._limits.max_model_bytes,
        )

    def _load(
        self,
        job: LoadJob,
        on_state: Callable[[State], None],
        make_room: Callable[[int], None],
        started: float,
    ) -> LoadedVersion:
        config = job.settings.config
        pinned, report = self.check(job)
        memory_bytes = _guess_memory(pinned) if report is None else report.memory_bytes
        make_room(memory_bytes)
        on_state(State.LOADING)
        session = core.Session(
            self._library,
            pinned.model,
            session_options(config),
            f"{job.model}/{job.number}",
            pinned.external,
        )
        inputs, outputs = tuple(session.inputs), tuple(session.outputs)
        declared_notes = _check_declared(job.settings, inputs, outputs)
        on_state(State.WARMING)
        batching = decide_batching(
            inputs,
            outputs,
            lambda: session.probe_row_independence(_PROBE_SEED),
            config.batching.enabled,
        )
        version, rows, costs, notes = self._warm(job, session, batching)
        notes += declared_notes
        notes += self._run_configured(job, version)
        notes += _run_examples(pinned, version, config)
        profile = pinned.files.get(PROFILE_FILE)
        loaded = LoadedVersion(
            model=job.model,
            number=job.number,
            config=config,
            inputs=inputs,
            outputs=outputs,
            metadata=session.metadata,
            facts=pinned.facts,
            digest=pinned.digest,
            model_sha256=pinned.sha256[config.model_file],
            settings_sha256=job.settings.sha256,
            declared_lineage={
                **config.lineage,
                **(pinned.manifest.lineage if pinned.manifest is not None else {}),
            },
            profile=None if profile is None else bytes(profile),
            batching=batching,
            rows=rows,
            costs=tuple(costs),
            notes=tuple(notes),
            file_bytes=pinned.file_bytes,
            memory_bytes=memory_bytes,
            load_seconds=time.monotonic() - started,
            version=version,
        )
        self._prepare(loaded)
        return loaded

    def _warm(
        self, job: LoadJob, session: core.Session, batching: BatchingDecision
    ) -> tuple[core.Version, RowsChoice, list[Cost], list[str]]:
        """The version with its largest batch chosen and its costs taught."""
        if not batching.is_batching:
            single = RowsChoice(max(1, batching.fixed_rows), "requests do not share runs")
            version = self._make(job, session, batching, single.max_rows)
            costs, notes = _measure(version, 1)
            return version, single, costs, notes
        configured = job.settings.config.batching.max_rows
        if configured is not None:
            version = self._make(job, session, batching, configured)
            costs, notes = _measure(version, configured)
            return version, choose_max_rows(costs, configured), costs, notes
        # The largest batch is part of a version for good, so costs are measured on a version that
        # is thrown away, then taught to the one that stays.
        trial = self._make(job, session, batching, MAX_AUTOMATIC_ROWS)
        costs, notes = _measure(trial, MAX_AUTOMATIC_ROWS)
        choice = choose_max_rows(costs, None)
        version = self._make(job, session, batching, choice.max_rows)
        _measure(version, choice.max_rows)
        return version, choice, costs, notes

    def _make(
        self, job: LoadJob, session: core.Session, batching: BatchingDecision, max_rows: int
    ) -> core.Version:
        config = job.settings.config
        check_capture(config.capture, session)
        return self._engine.make_version(
            session,
            model=job.model,
            number=job.number,
            is_batching=batching.is_batching,
            has_rows_axis=batching.has_rows_axis,
            max_rows=max_rows,
            has_fixed_rows=batching.fixed_rows > 0,
            max_delay_ns=config.batching.max_delay_us * 1000,
            weight=config.weight,
            max_queue_rows=config.limits.max_queue_rows,
            max_queue_bytes=config.limits.max_queue_bytes,
            allow_inline=config.inline,
            max_request_rows=config.max_request_rows or 0,
            priority_levels=config.queue.priority_levels,
            default_priority=config.queue.default_priority,
            queue_policies=queue_policies(config.queue),
            reshapes=reshapes(config.tensors, session),
        )

    def _run_configured(self, job: LoadJob, version: core.Version) -> list[str]:
        """The warm-up requests of a config.pbtxt. Returns notes."""
        notes: list[str] = []
        if not job.settings.warmup:
            return notes
        from fastserve.models.configured_warmup import make_tensors  # noqa: PLC0415 - as it is rare

        def read_file(name: str) -> bytes:
            if job.folder is None:
                raise InvalidConfig(f"warmup/{name}: there is no folder to read it from")
            path = job.folder.parent / "warmup" / name
            limit = self._limits.max_model_bytes
            return read_regular_file(path, name=f"warmup/{name}", max_bytes=limit, root=self._root)

        for request in job.settings.warmup:
            try:
                tensors = make_tensors(
                    request, tuple(version.inputs), job.settings.config, read_file
                )
                for _ in range(max(1, request.count)):
                    version.run(tensors)
            except (FastserveError, core.CoreError) as error:
                notes.append(f"warm-up request left out: {error.args[0]}")
        return notes


def _run_examples(pinned: PinnedVersion, version: core.Version, config: ModelConfig) -> list[str]:
    """Recorded warm-up requests and golden answers. Returns notes. Errors: VersionFailed."""
    notes: list[str] = []
    inputs = tuple(version.inputs)
    for name, data in sorted(pinned.files.items()):
        if name.startswith("warmup/"):
            try:
                version.run(wire_inputs(read_example(name, bytes(data), inputs), inputs))
            except (FastserveError, core.CoreError) as error:
                notes.append(f"warm-up request left out: {error.args[0]}")
        elif name.startswith("golden/"):
            check_golden(version, read_example(name, bytes(data), inputs), config.golden)
    return notes


def queue_policies(queue: PriorityConfig) -> list[tuple[int, bool, bool, int]]:
    """As the core takes them: the default one, then one for each level."""
    levels = [
        queue.levels.get(str(level), queue.default) for level in range(1, queue.priority_levels + 1)
    ]
    return [
        (
            policy.timeout_us * 1000,
            policy.timeout_action == "delay",
            policy.allow_timeout_override,
            policy.max_requests,
        )
        for policy in (queue.default, *levels)
    ]


def check_capture(config: CaptureConfig, session: core.Session) -> None:
    """Its fields must be there: a misspelt one would be written. Errors: InvalidConfig."""
    specs = {spec.name: spec for spec in (*session.inputs, *session.outputs)}
    try:
        fields = config.fields(specs)
    except InvalidConfig as error:
        raise InvalidConfig(f"capture.{error.message}") from None
    for name, actions in fields.items():
        # An axis of rows is not known yet: where all axes have a size, it may be one of them.
        shape = specs[name].shape
        sizes = shape[1:] if -1 in shape[:1] else shape
        if -1 not in sizes and max(actions) >= math.prod(sizes):
            raise InvalidConfig(
                f"capture.drop: {quoted(name)} has {math.prod(sizes)} elements a row, got "
                f"{max(actions)}, counted from 0"
            )


def reshapes(
    tensors: Mapping[str, TensorConfig], session: core.Session
) -> list[tuple[bool, str, tuple[int, ...], tuple[int, ...]]]:
    """As the core takes them. Errors: InvalidConfig for a tensor that the graph does not have."""
    inputs = {spec.name for spec in session.inputs}
    outputs = {spec.name for spec in session.outputs}
    found: list[tuple[bool, str, tuple[int, ...], tuple[int, ...]]] = []
    for name, tensor in tensors.items():
        if name not in inputs | outputs:
            known = ", ".join(map(quoted, sorted(inputs | outputs)))
            raise InvalidConfig(f"tensors: the graph has no {quoted(name)}; it has {known}")
        if tensor.shape is not None and tensor.reshape is not None:
            found.append((name in inputs, name, tensor.shape, tensor.reshape))
    return found


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


def _check_declared(
    settings: ModelSettings,
    inputs: tuple[core.TensorSpec, ...],
    outputs: tuple[core.TensorSpec, ...],
) -> list[str]:
    """What a config.pbtxt says of the tensors must be so. Returns notes. Errors: InvalidConfig."""
    if settings.triton is None:
        return []
    from fastserve.models.triton_config import (  # noqa: PLC0415 - as it is rare
        compare_signature,
        note_signature,
    )

    problems = compare_signature(settings.triton, inputs, outputs)
    if problems:
        raise InvalidConfig("; ".join(problems))
    return note_signature(settings.triton, inputs)


def _guess_memory(pinned: PinnedVersion) -> int:
    """Weights twice, as files and as tensors laid out for the kernels, and what a session costs."""
    return 2 * pinned.file_bytes + (1 << 20)


def _measure(version: core.Version, max_rows: int) -> tuple[list[Cost], list[str]]:
    """Costs, and why there are none. A model may refuse made-up rows and serve real ones well."""

    def run(rows: int) -> int:
        try:
            return version.warm_up(rows)
        except core.CoreError as error:
            raise from_core(error) from error

    try:
        return measure_costs(run, max_rows=max_rows), []
    except FastserveError as error:
        return [], [f"warm-up ended without a run: {error.message}"]
