"""What one model is told: `<repo>/<model>/model.toml`, or what stands for it in a config.pbtxt.

Everything has a default that comes from the graph or is chosen by the server. A group checks what
its keys mean together; such a message begins with the key.
"""

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from fastserve.config import (
    Rows,
    Significance,
    Threshold,
    WindowCount,
    WindowSeconds,
    convert,
    decode_toml,
    read_regular_file,
)
from fastserve.errors import InvalidConfig, InvalidRoute, quoted
from fastserve.route_spec import Entry, RouteSpec, Rule, Shadow, Strategy

MODEL_FILE: Final = "model.onnx"
MAX_CONFIG_BYTES: Final = 1 << 20
MAX_VERSION: Final = (1 << 63) - 1
# The longest that still fits the engine's nanoseconds by far: 31 years.
MAX_TIMEOUT_US: Final = 10**15
MAX_DELAY_US: Final = 10_000_000
# Each level costs every lane of the engine a pointer, and every insertion a step.
MAX_PRIORITY_LEVELS: Final = 1000
MAX_COUNT: Final = (1 << 32) - 1
MAX_RANK: Final = 16
# Entries of ONNX Runtime's session that a model may set: they change its speed or its numbers and
# nothing else. Of the others some name files to be read or written, some take memory for granted or
# take cores from other models; a repository, or a configuration that comes over the network, is not
# trusted with them. An entry that a later ONNX Runtime adds is refused until somebody has read what
# it does. Source: onnxruntime_session_options_config_keys.h of ONNX Runtime.
SESSION_ENTRIES: Final = frozenset(
    {
        "mlas.disable_kleidiai",
        "mlas.qnbit.force_fp32",
        "mlas.use_lut_gemm",
        "optimization.disable_specified_optimizers",
        "optimization.enable_cast_chain_elimination",
        "optimization.enable_gelu_approximation",
        "session.allow_released_opsets_only",
        "session.disable_aot_function_inlining",
        "session.disable_cpu_ep_fallback",
        "session.disable_double_qdq_remover",
        "session.disable_prepacking",
        "session.disable_qdq_constant_folding",
        "session.disable_quant_qdq",
        "session.dynamic_block_base",
        "session.enable_dq_matmulnbits_fusion",
        "session.enable_gelu_approximation",
        "session.enable_quant_qdq_cleanup",
        "session.force_spinning_stop",
        "session.graph_optimizations_loop_level",
        "session.inter_op.allow_spinning",
        "session.intra_op.allow_spinning",
        "session.qdq_matmulnbits_accuracy_level",
        "session.qdq_matmulnbits_block_size",
        "session.qdqisint8allowed",
        "session.set_denormal_as_zero",
        "session.strict_shape_type_inference",
        "session.use_device_allocator_for_initializers",
        "session.x64quantprecision",
    }
)
# How entries are called that make ONNX Runtime read or write files.
_FILE_ENTRY = re.compile(
    r"file|path|folder|(?<![a-z])dir(?![a-z])|root|prepacked_constant|profil|ep\.context"
)
MAX_CLASSES: Final = 1000
MAX_SEGMENTS: Final = 64
# What labels measure; True where more is better.
QUALITY_MEASURES: Final[Mapping[str, bool]] = {
    "accuracy": True,
    "precision_macro": True,
    "recall_macro": True,
    "precision_positive": True,
    "recall_positive": True,
    "auc": True,
    "log_loss": False,
    "calibration_error": False,
    "mae": False,
    "rmse": False,
    "selection_rate_gap": False,
    "true_positive_rate_gap": False,
    "false_positive_rate_gap": False,
}
# Characters of a name for people.
MAX_LABEL: Final = 256
_MAX_CATEGORIES: Final = 10_000
_MAX_FILE_NAME: Final = 255
_MAX_LINEAGE: Final = 64
_MAX_LINEAGE_CHARACTERS: Final = 4096
_ELEMENT = re.compile(r"(?P<tensor>.+)\[(?P<element>[0-9]{1,9})\]", re.DOTALL)
# Begins with no digit: a label never looks like a version's number.
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")

Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=MAX_PRIORITY_LEVELS)]
Dim = Annotated[int, msgspec.Meta(ge=-1, le=MAX_VERSION)]
Dims = Annotated[tuple[Dim, ...], msgspec.Meta(max_length=MAX_RANK)]


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of model.toml."""


class BatchingConfig(_Group, frozen=True):
    """`[batching]`: whether and how requests share a run. `None` is decided by the server."""

    enabled: bool | None = None
    max_rows: Rows | None = None
    max_delay_us: Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY_US)] = 0


class QueueConfig(_Group, frozen=True):
    """`[limits]`: this model's queue; 0 takes the server's own."""

    max_queue_rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_queue_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class ProviderConfig(_Group, frozen=True):
    """One execution provider of ONNX Runtime and its options."""

    name: str
    options: dict[str, str] = {}


class RuntimeConfig(_Group, frozen=True):
    """`[runtime]`: ONNX Runtime's session. `optimization_level` is 0, 1, 2 or 99 (all)."""

    intra_op_threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    inter_op_threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    allow_spinning: bool = False
    # None: as chosen by measurement in csrc/fastserve/runtime/session.cc.
    cpu_arena: bool | None = None
    memory_pattern: bool | None = None
    optimization_level: Literal[0, 1, 2, 99] = 99
    providers: tuple[ProviderConfig, ...] = ()
    config_entries: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name in self.config_entries:
            if name in SESSION_ENTRIES:
                continue
            nearest = difflib.get_close_matches(name[:128], SESSION_ENTRIES, n=1, cutoff=0.8)
            if _FILE_ENTRY.search(name):
                why = "it would have ONNX Runtime read or write files by path"
            elif nearest:
                why = f"did you mean {nearest[0]!r}?"
            else:
                why = "it does more than change the session's speed or numbers, or is not known"
            raise InvalidConfig(
                f"config_entries: {quoted(name)} may not be set by a model: {why} "
                "(docs/model.md lists what may)"
            )


class VersionsConfig(_Group, frozen=True):
    """`[versions]`: which versions answer. Without a word on it, the newest one."""

    latest: Annotated[int, msgspec.Meta(ge=1)] | None = None
    all: bool = False
    specific: tuple[Version, ...] = ()
    # Versions out of traffic that stay loaded, for going back.
    keep_previous: Annotated[int, msgspec.Meta(ge=0, le=64)] = 1

    def __post_init__(self) -> None:
        chosen = [
            name
            for name, is_set in (
                ("latest", self.latest is not None),
                ("all", self.all),
                ("specific", bool(self.specific)),
            )
            if is_set
        ]
        if len(chosen) > 1:
            raise InvalidConfig(f"{chosen[0]}: excludes {' and '.join(chosen[1:])}: keep one")
        twice = {number for number in self.specific if self.specific.count(number) > 1}
        if twice:
            raise InvalidConfig(f"specific: names version {min(twice)} twice")


class GoldenConfig(_Group, frozen=True):
    """`[golden]`: how far an answer may be from the recorded one, |a - b| <= abs + rel * |b|."""

    relative_tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-4
    absolute_tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-5

    def __post_init__(self) -> None:
        for name in ("relative_tolerance", "absolute_tolerance"):
            if not math.isfinite(getattr(self, name)):
                raise InvalidConfig(f"{name}: expected a finite number: else every answer passes")


class LoadConfig(_Group, frozen=True):
    """`[load]`: what a new version must stand before it answers."""

    allow_signature_change: bool = False
    # None and 0: as the server's settings say.
    check_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    check_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class QueuePolicy(_Group, frozen=True):
    """How long requests wait, and how many may.

    A request that waited for `timeout_us` is refused, or delayed: it then runs after all that have
    not waited so long.
    """

    timeout_action: Literal["reject", "delay"] = "reject"
    # 0: none but the call's own deadline.
    timeout_us: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIMEOUT_US)] = 0
    # A request's `timeout` parameter may shorten it.
    allow_timeout_override: bool = False
    # 0: as many as `[limits]` admits.
    max_requests: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] = 0


class PriorityConfig(_Group, frozen=True):
    """`[queue]`: levels of priority, 1 the most urgent, and a policy for each."""

    # 0: requests are in one queue, by arrival.
    priority_levels: Priority = 0
    # Of a request that names none, or one that is not there.
    default_priority: Priority = 0
    default: QueuePolicy = QueuePolicy()
    # By level; the others have `default`.
    levels: dict[str, QueuePolicy] = {}

    def __post_init__(self) -> None:
        most = self.priority_levels
        if not most:
            if self.default_priority or self.levels:
                name = "default_priority" if self.default_priority else "levels"
                raise InvalidConfig(f"{name}: means nothing while priority_levels is 0")
            return
        if not 1 <= self.default_priority <= most:
            raise InvalidConfig(
                f"default_priority: got {self.default_priority}, expected 1 to {most}, "
                "the number of priority_levels"
            )
        for name in self.levels:
            if not re.fullmatch(r"[1-9][0-9]{0,3}", name) or int(name) > most:
                raise InvalidConfig(
                    f"levels: {quoted(name)} is no level, expected 1 to {most}, "
                    "the number of priority_levels"
                )


class TensorConfig(_Group, frozen=True):
    """`[tensors.NAME]`: a shape that differs between clients and graph, both without rows.

    Both have as many elements; -1 is a size that the request chooses.
    """

    # What clients send or get.
    shape: Dims | None = None
    # What the graph gets or gives.
    reshape: Dims | None = None

    def __post_init__(self) -> None:
        for name, dims in (("shape", self.shape), ("reshape", self.reshape)):
            if dims is not None and 0 in dims:
                raise InvalidConfig(f"{name}: has an axis of 0, expected at least 1, or -1")
        if self.reshape is None:
            return
        if self.shape is None:
            raise InvalidConfig("reshape: needs shape, which says what clients send")
        if _element_counts(self.shape) != _element_counts(self.reshape):
            raise InvalidConfig(
                f"reshape: {list(self.reshape)} has not as many elements as shape "
                f"{list(self.shape)}; axes of -1 keep their order"
            )


class CaptureConfig(_Group, frozen=True):
    """`[capture]`: which share of the requests is kept in files, and what of each is left out.

    A field is a tensor, by its name, or one element of its rows: `pixels[3]`.
    """

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    # Only these; empty: all of them.
    tensors: tuple[str, ...] = ()
    # Never written.
    drop: tuple[str, ...] = ()
    # Written as a keyed hash: equal values stay equal.
    hash: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.hash:
            if name in self.drop:
                raise InvalidConfig(f"hash: {quoted(name)} is in drop as well: keep one")

    def fields(self, tensors: Collection[str]) -> dict[str, dict[int, str]]:
        """By tensor what happens to it: {-1: "drop"} to all of it, {3: "drop"} to its element 3.

        Errors: InvalidConfig for a field that no tensor of `tensors` has: what was to be left out
        would be written.
        """
        found: dict[str, dict[int, str]] = {}
        for name in self.tensors:
            if name not in tensors:
                raise InvalidConfig(f"tensors: {_unknown(name, tensors)}")
        for action, names in (("drop", self.drop), ("hash", self.hash)):
            for name in names:
                tensor, element = _split_field(name, tensors)
                if element >= 0 and action == "hash":
                    raise InvalidConfig(f"hash: {quoted(name)}: expected a whole tensor's name")
                if tensor not in tensors:
                    raise InvalidConfig(f"{action}: {_unknown(name, tensors)}")
                found.setdefault(tensor, {})[element] = action
        for tensor in tensors:
            if self.tensors and tensor not in self.tensors:
                found.setdefault(tensor, {})[-1] = "drop"
        return found


class FeedbackConfig(_Group, frozen=True):
    """`[feedback]`: what a label says about this model's answers, and when that is not good enough.

    With nothing said, the task is told by the outputs: a text, an integer or a boolean is a class,
    several floats a row are the probabilities of the classes, one float a row is a number.
    """

    task: Literal["auto", "classification", "regression"] = "auto"
    # The output that labels are held against; "": those that fit the task.
    output: str = ""
    # Names of the classes, in the order of the probabilities; (): 0, 1, 2, ...
    classes: Annotated[tuple[str | int, ...], msgspec.Meta(max_length=MAX_CLASSES)] = ()
    # The class whose precision, recall and AUC are told apart; None: the second of two.
    positive_class: str | int | None = None
    # From this score on an answer is the positive class, where the model gives a score alone.
    threshold: float = 0.5
    # The input, or feature `NAME[INDEX]`, whose values are told apart; "": none.
    segment: str = ""
    # Those values; (): as they come, up to the server's bound. All others are "other".
    segments: Annotated[tuple[str | int, ...], msgspec.Meta(max_length=MAX_SEGMENTS)] = ()
    # A window, or a segment of one, with fewer is not judged.
    minimum_labels: Annotated[int, msgspec.Meta(ge=1)] = 100
    # The window that is judged and shown.
    window_seconds: Literal[60, 300, 3600, 86400] = 3600
    # By measure: the worst value that raises no alarm.
    bounds: dict[str, float] = {}

    def __post_init__(self) -> None:
        for name, values in (("classes", self.classes), ("segments", self.segments)):
            counts = Counter(str(value) for value in values)
            twice = [text for text, count in counts.items() if count > 1]
            if twice:
                raise InvalidConfig(f"{name}: has {quoted(twice[0])} twice")
        if len(self.classes) == 1:
            raise InvalidConfig("classes: has one class, expected at least two, or none at all")
        names = {str(value) for value in self.classes}
        if self.positive_class is not None and names and str(self.positive_class) not in names:
            raise InvalidConfig(
                f"positive_class: {quoted(str(self.positive_class))} is not among classes"
            )
        if not math.isfinite(self.threshold):
            raise InvalidConfig("threshold: expected a finite number")
        if self.segments and not self.segment:
            raise InvalidConfig("segments: needs segment, which names the input")
        for measure, bound in self.bounds.items():
            _check_bound(measure, bound, has_segment=bool(self.segment))


class FeatureConfig(_Group, frozen=True):
    """`[features.NAME]`: what one feature of an input or output is, and what it may be."""

    # Of its values, for people: "mm", "EUR", "1/s".
    unit: Annotated[str, msgspec.Meta(max_length=64)] = ""
    # A name that people know better than `x[3]`.
    label: Annotated[str, msgspec.Meta(max_length=MAX_LABEL)] = ""
    min: float | None = None
    max: float | None = None
    categories: Annotated[tuple[str | int, ...], msgspec.Meta(max_length=_MAX_CATEGORIES)] = ()
    # Share of the rows that may lack it: NaN, or an empty text.
    missing: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and not math.isfinite(bound):
                raise InvalidConfig(f"{name}: expected a finite number; leave it out for none")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise InvalidConfig(f"min: {self.min:g} lies above max, {self.max:g}")
        if self.categories and (self.min is not None or self.max is not None):
            raise InvalidConfig("categories: excludes min and max: keep one")
        counts = Counter(str(value) for value in self.categories)
        twice = [text for text, count in counts.items() if count > 1]
        if twice:
            raise InvalidConfig(f"categories: has {quoted(twice[0])} twice")

    @property
    def has_rules(self) -> bool:
        bounds = (self.min, self.max, self.missing)
        return bool(self.categories) or any(bound is not None for bound in bounds)


class DriftConfig(_Group, frozen=True):
    """`[drift]`: how this model's rows are watched. What is not named is as the server has it."""

    enabled: bool | None = None
    # The first so many live rows become the profile of a version that has none; 0: never.
    freeze_rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    window_seconds: WindowSeconds | None = None
    minimum_rows: Annotated[int, msgspec.Meta(ge=1)] | None = None
    significance: Significance | None = None
    psi_raise: Threshold | None = None
    psi_clear: Threshold | None = None
    ks_raise: Threshold | None = None
    ks_clear: Threshold | None = None
    wasserstein_raise: Threshold | None = None
    wasserstein_clear: Threshold | None = None
    cramers_v_raise: Threshold | None = None
    cramers_v_clear: Threshold | None = None
    missing_raise: Threshold | None = None
    missing_clear: Threshold | None = None
    raise_windows: WindowCount | None = None
    clear_windows: WindowCount | None = None


class ContractConfig(_Group, frozen=True):
    """`[contract]`: what happens to a request that breaks a rule of `[features.NAME]`."""

    # Refused; else it is answered, and counted.
    enforce: bool = False


class RoutingConfig(_Group, frozen=True):
    """`[routing]`: the route that a model begins with. What operators set later lies over it.

    Without weights there is none: the version that serves answers.
    """

    strategy: Strategy = "weights"
    # By version; TOML's keys are texts.
    weights: dict[str, float] = {}
    rules: tuple[Rule, ...] = ()
    sticky: str = ""
    # None: by the model's name.
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    fallback: Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)] = 0
    shadow: Shadow | None = None

    def __post_init__(self) -> None:
        self.spec()

    def spec(self) -> RouteSpec | None:
        """Errors: InvalidConfig, the key first."""
        if not self.weights:
            if any((self.rules, self.sticky, self.fallback, self.shadow)):
                raise InvalidConfig("weights: a route needs them, for example { 1 = 90, 2 = 10 }")
            return None
        for name in self.weights:
            if not re.fullmatch(r"[1-9][0-9]{0,18}", name) or int(name) > MAX_VERSION:
                raise InvalidConfig(
                    f"weights: {quoted(name)} is no version, expected a positive integer"
                )
        try:
            return RouteSpec(
                strategy=self.strategy,
                entries=tuple(Entry(int(name), weight) for name, weight in self.weights.items()),
                rules=self.rules,
                sticky=self.sticky,
                seed=self.seed or 0,
                fallback=self.fallback,
                shadow=self.shadow,
            )
        except InvalidRoute as error:
            raise InvalidConfig(error.message) from None


class ModelConfig(_Group, frozen=True):
    """All that one model can be told."""

    batching: BatchingConfig = BatchingConfig()
    limits: QueueConfig = QueueConfig()
    queue: PriorityConfig = PriorityConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    versions: VersionsConfig = VersionsConfig()
    load: LoadConfig = LoadConfig()
    golden: GoldenConfig = GoldenConfig()
    capture: CaptureConfig = CaptureConfig()
    tensors: dict[str, TensorConfig] = {}
    feedback: FeedbackConfig = FeedbackConfig()
    drift: DriftConfig = DriftConfig()
    features: dict[str, FeatureConfig] = {}
    contract: ContractConfig = ContractConfig()
    routing: RoutingConfig = RoutingConfig()
    # Names that clients may use for a version.
    labels: dict[str, Version] = {}
    # Where the model comes from: a training run, a commit. Shown as it is.
    lineage: dict[str, str] = {}
    # In each version's folder.
    model_file: str = MODEL_FILE
    # A request with more is refused. None: as many as the queue may hold.
    max_request_rows: Rows | None = None
    # May run on the io thread when predicted to be short enough.
    inline: bool = True
    # Share of executor time against other models when there is not enough for all.
    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1

    def __post_init__(self) -> None:
        for label in self.labels:
            if not _LABEL.fullmatch(label):
                raise InvalidConfig(
                    f"labels: {quoted(label)} is no label: expected letters, digits, '_', '.' and "
                    "'-', at most 64, the first a letter or '_'"
                )
        problem = file_name_problem(self.model_file)
        if problem:
            raise InvalidConfig(f"model_file: {problem}")
        _check_lineage(self.lineage)


def read_model_config(path: Path, root: Path | None = None) -> ModelConfig:
    """The configuration in a model.toml. Errors: InvalidConfig with file, key and fix.

    With `root` the file must lie inside that folder, whatever links lead to it.
    """
    data = read_regular_file(path, name=path.name, max_bytes=MAX_CONFIG_BYTES, root=root)
    return parse_model_config(data, name=path.name)


def parse_model_config(data: bytes, *, name: str) -> ModelConfig:
    """The configuration that a model.toml's bytes are. Errors: InvalidConfig with `name` first."""
    return convert(decode_toml(data, name=name), ModelConfig, source=name)


def file_name_problem(name: str) -> str:
    """Why `name` cannot be a file of a version's folder; empty when it can."""
    if not name or len(name.encode(errors="replace")) > _MAX_FILE_NAME:
        return f"expected the name of a file, of 1 to {_MAX_FILE_NAME} bytes"
    if name.startswith("."):
        return f"{quoted(name)} begins with a dot, and hidden files are not served"
    if re.search(r"[/\\\x00-\x1f\x7f]", name):
        return f"{quoted(name)} is not a plain name: the file lies in the version's own folder"
    return ""


def _split_field(name: str, tensors: Collection[str]) -> tuple[str, int]:
    """Tensor and element; -1 for all of them. A tensor may itself be called `x[0]`."""
    match = _ELEMENT.fullmatch(name)
    if name in tensors or match is None:
        return name, -1
    return match["tensor"], int(match["element"])


def _unknown(name: str, tensors: Collection[str]) -> str:
    return (
        f"{quoted(name)} is no field of the model, expected one of "
        f"{', '.join(quoted(tensor) for tensor in sorted(tensors))}, or an element: 'NAME[3]'"
    )


def _element_counts(dims: tuple[int, ...]) -> list[int]:
    """Elements between one axis of -1 and the next."""
    counts = [1]
    for dim in dims:
        if dim < 0:
            counts.append(1)
        else:
            counts[-1] *= dim
    return counts


def _check_bound(measure: str, bound: float, *, has_segment: bool) -> None:
    if measure not in QUALITY_MEASURES:
        known = ", ".join(QUALITY_MEASURES)
        raise InvalidConfig(f"bounds: {quoted(measure)} is no measure, expected one of {known}")
    if not math.isfinite(bound):
        raise InvalidConfig(f"bounds: {measure} is {bound}, expected a finite number")
    if measure.endswith("_gap") and not has_segment:
        raise InvalidConfig(f"bounds: {measure} needs segment, whose values it compares")


def _check_lineage(lineage: dict[str, str]) -> None:
    if len(lineage) > _MAX_LINEAGE:
        raise InvalidConfig(f"lineage: has {len(lineage)} entries, more than {_MAX_LINEAGE}")
    for key, value in lineage.items():
        if not key or max(len(key), len(value)) > _MAX_LINEAGE_CHARACTERS:
            raise InvalidConfig(
                f"lineage: {quoted(key)}: expected a name and a text of at most "
                f"{_MAX_LINEAGE_CHARACTERS} characters each"
            )
