"""Makes a reference profile of training rows: sketches the inputs, runs the model for the outputs.

The model runs in this process, from the repository's files, or on a server, where the rows count as
traffic. Where it does not run, inputs alone have a reference, and the profile says so.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from fastserve._core import core
from fastserve.cli.endpoint import Endpoint
from fastserve.cli.training_data import TrainingData, read_training
from fastserve.client import Client, TensorMetadata
from fastserve.client.tensors import Array, encode_tensor
from fastserve.config import LimitSettings
from fastserve.drift.contract import Contract
from fastserve.drift.profile import Origin, ReferenceProfile, encode_profile, make_profile
from fastserve.drift.rule_finder import rules_of
from fastserve.drift.signature import Signature, Tensor, schema_of
from fastserve.drift.watched import signature_of_version
from fastserve.errors import (
    FastserveError,
    InvalidConfig,
    ModelNotFound,
    VersionNotFound,
    from_core,
    quoted,
)
from fastserve.model_config import MAX_LABEL, FeatureConfig
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
from fastserve.models.version_profile import write_profile

# Of one call to a server.
_CALL_ROWS: Final = 256

# Rows and raw bytes of each tensor, by name.
Raw: TypeAlias = dict[str, tuple[int, bytes]]
Run: TypeAlias = Callable[[Mapping[str, Array]], Raw]


class Source(NamedTuple):
    """The training rows, as the command line names them."""

    path: Path
    # Take these alone, in this order.
    columns: tuple[str, ...]
    # At most so many rows; 0: all.
    rows: int
    is_inputs_only: bool
    # Whether what the rows keep to becomes the contract.
    has_rules: bool


class Made(NamedTuple):
    """What was made and where it lies; `note` says what it lacks, and why."""

    profile: ReferenceProfile
    place: str
    left_out: tuple[str, ...]
    note: str


def make_in_repository(repository: Path, model: str, number: int, source: Source) -> Made:
    """Writes the profile into the version's folder (0: of the newest). Errors: FastserveError."""
    files = Repository(repository)
    found, chosen = _find(files, model, number)
    with _loaded(repository, files, found, chosen) as version:
        inputs = [TensorMetadata(s.name, s.datatype, s.shape) for s in version.wire_inputs]
        features = version.config.features
        has_rows = version.batching.has_rows_axis
        data = _whole_runs(_read(source, inputs, features), version.batching.fixed_rows)

        def run(arrays: Mapping[str, Array]) -> Raw:
            encoded = [encode_tensor(s.name, arrays[s.name]) for s in version.wire_inputs]
            answers = version.version.run([(each.shape, bytes(each.data)) for each in encoded])
            return {
                spec.name: (_rows(answer[1], has_rows), answer[2])
                for spec, answer in zip(version.wire_outputs, answers, strict=True)
                if answer is not None
            }

        plan = _Plan(signature_of_version(version), has_rows, _run_rows(version), features)
        profile, note = _make(plan, data, run, source)
    folder = found.folder / str(chosen)
    return Made(profile, str(write_profile(folder, encode_profile(profile))), data.left_out, note)


def make_on_server(endpoint: Endpoint, model: str, number: int, source: Source) -> Made:
    """Sends the profile to the server, which keeps it. Errors: FastserveError."""
    with endpoint.connect_watch() as watch, endpoint.connect() as client:
        state = watch.show_drift(model, version=number)[-1]
        version = int(state["version"])
        signature = tuple(Tensor(**each) for each in state["tensors"])
        metadata = client.model_metadata(model, str(version))
        named = {each["name"]: each["label"] for each in state["features"] if each["label"]}
        features = {name: FeatureConfig(label=label) for name, label in named.items()}
        data = _read(source, metadata.inputs, features)
        has_rows = state["has_rows_axis"]
        run = _server_run(client, model, str(version), has_rows)
        plan = _Plan(signature, has_rows, _CALL_ROWS if has_rows else 0, features)
        profile, note = _make(plan, data, run, source)
        watch.put_profile(model, encode_profile(profile), version=version)
    return Made(profile, f"{model}/{version} on {endpoint.endpoint}", data.left_out, note)


def _server_run(client: Client, model: str, version: str, has_rows: bool) -> Run:
    def run(arrays: Mapping[str, Array]) -> Raw:
        result = client.infer(model, arrays, version=version)
        encoded = {
            name: encode_tensor(name, array, result.datatypes[name])
            for name, array in result.items()
        }
        return {
            name: (_rows(each.shape, has_rows), bytes(each.data)) for name, each in encoded.items()
        }

    return run


def _read(
    source: Source, inputs: "list[TensorMetadata] | tuple[TensorMetadata, ...]",
    features: Mapping[str, FeatureConfig],
) -> TrainingData:  # fmt: skip
    labels = {name: each.label for name, each in features.items() if each.label}
    data = read_training(source.path, inputs, columns=source.columns, labels=labels)
    if not source.rows:
        return data
    return data._replace(arrays={n: array[: source.rows] for n, array in data.arrays.items()})


def _whole_runs(data: TrainingData, rows: int) -> TrainingData:
    """Without the rest where a run has a fixed number of rows."""
    if rows <= 1:
        return data
    count = min(len(array) for array in data.arrays.values()) // rows * rows
    if not count:
        raise InvalidConfig(f"the model takes {rows} rows at a time: give at least so many")
    return data._replace(arrays={name: array[:count] for name, array in data.arrays.items()})


class _Plan(NamedTuple):
    signature: Signature
    # The first axis of every tensor counts rows; else a request is one row.
    has_rows: bool
    # Of one run; 0: all at once.
    run_rows: int
    features: Mapping[str, FeatureConfig]


def _make(
    plan: _Plan, data: TrainingData, run: Run, source: Source
) -> tuple[ReferenceProfile, str]:
    schema = schema_of(plan.signature)
    sketch = core.TableSketch(schema)
    places = {(each.is_input, each.name): at for at, each in enumerate(plan.signature)}
    note = "the model was not run: outputs have no reference" if source.is_inputs_only else ""
    with _core_errors():
        for arrays in _batches(data.arrays, plan.run_rows):
            for name, array in arrays.items():
                raw = encode_tensor(name, array)
                rows = _rows(raw.shape, plan.has_rows)
                sketch.add(places[True, name], rows, bytes(raw.data))
            if note:
                continue
            try:
                answers = run(arrays)
            except (FastserveError, core.CoreError) as error:
                if sketch.summary(_first_output(schema)).count:
                    raise
                note = f"outputs have no reference: the model did not run: {error.args[0]}"
                continue
            for name, (rows, raw_bytes) in answers.items():
                sketch.add(places[False, name], rows, raw_bytes)
    facts = dict(plan.features)
    known = {each.name for each in schema.features}
    for name, label in data.labels.items():
        # Wide rows have no feature for each value.
        if name in known and name not in facts:
            facts[name] = FeatureConfig(label=label[:MAX_LABEL])
    if source.has_rules:
        facts = rules_of(sketch, facts)
    # A rule that its feature cannot have is refused here, not when a server reads the profile.
    Contract(schema.features, facts)
    origin = Origin(kind="data", source=source.path.name, has_outputs=not note)
    return make_profile(plan.signature, sketch, origin, features=facts), note


def _batches(arrays: Mapping[str, Array], rows: int) -> Iterator[dict[str, Array]]:
    """`rows` of each at a time; 0: all at once, where a request has no rows."""
    if not rows:
        yield dict(arrays)
        return
    count = min(len(array) for array in arrays.values())
    for start in range(0, count, rows):
        yield {name: array[start : start + rows] for name, array in arrays.items()}


def _run_rows(version: LoadedVersion) -> int:
    """Rows of one run: as the server would run them, so that rows which mix see none but their own.

    0 where a request has no rows.
    """
    if version.batching.is_batching:
        return version.max_rows
    return version.batching.fixed_rows or int(version.batching.has_rows_axis)


def _rows(shape: tuple[int, ...], has_rows: bool) -> int:
    return shape[0] if has_rows else 1


def _first_output(schema: core.TableSchema) -> int:
    return next((at for at, each in enumerate(schema.features) if not each.is_input), 0)


def _find(files: Repository, model: str, number: int) -> tuple[FoundModel, int]:
    found = files.find(model)
    if found is None or found.newest is None:
        raise ModelNotFound(f"repository {str(files.root)!r} has no model {quoted(model)}")
    chosen = number or found.newest.number
    for version in found.versions:
        if version.number == chosen:
            if version.problem:
                raise InvalidConfig(f"{model}/{chosen}: {version.problem}")
            return found, chosen
    known = ", ".join(str(version.number) for version in found.versions)
    raise VersionNotFound(f"model {quoted(model)} has no version {chosen}; it has {known}")


@contextlib.contextmanager
def _loaded(
    repository: Path, files: Repository, found: FoundModel, number: int
) -> Iterator[LoadedVersion]:
    """The version in this process; nobody else's requests meet it."""
    limits = LimitSettings()
    library = open_library(find_runtime_library())
    engine = core.Engine(
        executors=1,
        max_ports=1,
        max_queue_rows=limits.max_queue_rows,
        max_queue_bytes=limits.max_queue_bytes,
        max_total_queue_bytes=limits.max_total_queue_bytes,
        inline_budget_ns=0,
    )
    loader = Loader(
        engine,
        library,
        root=repository,
        limits=limits,
        checker=None,
        check_limits=CheckLimits(),
        checked=CheckedCache(),
    )
    job = LoadJob(
        model=found.name,
        number=number,
        settings=files.read_settings(found),
        folder=found.folder / str(number),
    )
    try:
        yield loader.load(job, lambda _state: None, lambda _bytes: None)
    finally:
        engine.close()


@contextlib.contextmanager
def _core_errors() -> Iterator[None]:
    try:
        yield
    except core.CoreError as error:
        raise from_core(error) from error
