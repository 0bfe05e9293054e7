"""All that one model can be told, and how it is read."""

import math
import re
from pathlib import Path
from typing import Annotated, Final

import msgspec

from fastserve.config import (
    Rows,
    convert,
    decode_toml,
    read_regular_file,
)
from fastserve.errors import InvalidConfig, InvalidRoute, quoted
from fastserve.model_config.group import MAX_VERSION, Group, Version, file_name_problem
from fastserve.model_config.queue import BatchingConfig, PriorityConfig, QueueConfig
from fastserve.model_config.runtime import RuntimeConfig
from fastserve.model_config.watch import (
    CaptureConfig,
    ContractConfig,
    DriftConfig,
    FeatureConfig,
    FeedbackConfig,
)
from fastserve.rollout_spec import Rollout
from fastserve.route_spec import Bandit, Entry, RouteSpec, Rule, Shadow, Strategy

MODEL_FILE: Final = "model.onnx"
MAX_CONFIG_BYTES: Final = 1 << 20
MAX_RANK: Final = 16
_MAX_LINEAGE: Final = 64
_MAX_LINEAGE_CHARACTERS: Final = 4096
# Begins with no digit: a label never looks like a version's number.
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
Dim = Annotated[int, msgspec.Meta(ge=-1, le=MAX_VERSION)]
Dims = Annotated[tuple[Dim, ...], msgspec.Meta(max_length=MAX_RANK)]


class VersionsConfig(Group, frozen=True):
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


class GoldenConfig(Group, frozen=True):
    """`[golden]`: how far an answer may be from the recorded one, |a - b| <= abs + rel * |b|."""

    relative_tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-4
    absolute_tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-5

    def __post_init__(self) -> None:
        for name in ("relative_tolerance", "absolute_tolerance"):
            if not math.isfinite(getattr(self, name)):
                raise InvalidConfig(f"{name}: expected a finite number: else every answer passes")


class LoadConfig(Group, frozen=True):
    """`[load]`: what a new version must stand before it answers."""

    allow_signature_change: bool = False
    # None and 0: as the server's settings say.
    check_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    check_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class TensorConfig(Group, frozen=True):
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


class RoutingConfig(Group, frozen=True):
    """`[routing]`: the route that a model begins with. What operators set later lies over it.

    Without weights there is none: the version that serves answers.
    """

    strategy: Strategy = "weights"
    # By version; TOML's keys are texts.
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    sticky: str = ""
    # None: by the model's name.
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    fallback: Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)] = 0
    shadow: Shadow | None = None
    bandit: Bandit | None = None
    # Starts by itself, once. It moves the route and is no part of it.
    rollout: Rollout | None = None

    def __post_init__(self) -> None:
        self.spec()
        if self.rollout is not None and self.strategy == "bandit":
            raise InvalidConfig(
                "rollout: a bandit moves the weights by itself: keep one of the two, or another "
                "strategy"
            )

    def spec(self) -> RouteSpec | None:
        """Errors: InvalidConfig, the key first."""
        if not self.weights:
            is_bandit = self.strategy == "bandit" or self.bandit is not None
            if is_bandit or any((self.rules, self.sticky, self.fallback, self.shadow)):
                raise InvalidConfig("weights: a route needs them, for example { 1 = 90, 2 = 10 }")
            if self.rollout is not None:
                raise InvalidConfig(
                    "weights: a rollout begins from a route, or the newest version had everything "
                    f"until it starts: expected {{ {self.rollout.baseline} = 1 }}"
                )
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
                bandit=self.bandit,
            )
        except InvalidRoute as error:
            raise InvalidConfig(error.message) from None


class ModelConfig(Group, frozen=True):
    """All that one model can be told."""

    batching: BatchingConfig = BatchingConfig()
    limits: QueueConfig = QueueConfig()
    queue: PriorityConfig = PriorityConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    versions: VersionsConfig = VersionsConfig()
    load: LoadConfig = LoadConfig()
    golden: GoldenConfig = GoldenConfig()
    capture: CaptureConfig = CaptureConfig()
    tensors: dict[str, TensorConfig] = msgspec.field(default_factory=dict)
    feedback: FeedbackConfig = FeedbackConfig()
    drift: DriftConfig = DriftConfig()
    features: dict[str, FeatureConfig] = msgspec.field(default_factory=dict)
    contract: ContractConfig = ContractConfig()
    routing: RoutingConfig = RoutingConfig()
    # Names that clients may use for a version.
    labels: dict[str, Version] = msgspec.field(default_factory=dict)
    # Where the model comes from: a training run, a commit. Shown as it is.
    lineage: dict[str, str] = msgspec.field(default_factory=dict)
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


def _element_counts(dims: tuple[int, ...]) -> list[int]:
    """Elements between one axis of -1 and the next."""
    counts = [1]
    for dim in dims:
        if dim < 0:
            counts.append(1)
        else:
            counts[-1] *= dim
    return counts


def _check_lineage(lineage: dict[str, str]) -> None:
    if len(lineage) > _MAX_LINEAGE:
        raise InvalidConfig(f"lineage: has {len(lineage)} entries, more than {_MAX_LINEAGE}")
    for key, value in lineage.items():
        if not key or max(len(key), len(value)) > _MAX_LINEAGE_CHARACTERS:
            raise InvalidConfig(
                f"lineage: {quoted(key)}: expected a name and a text of at most "
                f"{_MAX_LINEAGE_CHARACTERS} characters each"
            )
