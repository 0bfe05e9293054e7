"""What of the core keeps traffic: sketches, predictions, captured requests.

A part of core.pyi in a file of its own, which imports it: at run time all of it is in `core`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, final

from fastserve._core.core import Engine, Version

class SketchFeature(NamedTuple):
    name: str  # "tensor", "tensor[i]", "tensor.norm", "tensor.mean", "tensor.projection[i]"
    tensor: str
    is_input: bool
    kind: str  # number, category, norm, mean, projection
    # Of the element or the projection; 0 where there is one. Shadows a method of tuple.
    index: int  # type: ignore[assignment]

@final
class TableSchema:
    """The features of a model's tensors, in their order. Immutable; equal when the tensors are.

    `tensors`: (name, is_input, datatype, elements of a row or -1 where it varies). Rows of up to
    128 elements have a feature for each: a number, or a category for integers, BOOL and BYTES. Of
    wider and of varying rows norm, mean and four projections are derived; BYTES are pooled in one
    category. Raises CoreError 3, naming the tensor.
    """

    def __init__(self, tensors: Sequence[tuple[str, bool, str, int]]) -> None: ...
    @property
    def tensors(self) -> list[tuple[str, bool, str, int]]: ...
    @property
    def features(self) -> list[SketchFeature]: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

class FeatureSummary(NamedTuple):
    """What does not apply is NaN, 0 or empty; mean and so on are of the finite values."""

    # All values. Shadows a method of tuple.
    count: int  # type: ignore[assignment]
    missing: int  # NaN; of BYTES, the empty ones
    infinite: int
    zeros: int
    minimum: float
    maximum: float
    mean: float
    deviation: float  # of the population
    distinct: float  # categories only: estimate, exact while few
    # Value, count at least, and at most so many more; largest first.
    top: list[tuple[str, int, int]]

class FeatureScores(NamedTuple):
    """How far a feature is from the reference; NaN where a score does not apply or has no rows."""

    psi: float
    jensen_shannon: float  # distance, base 2: 0 to 1
    kolmogorov_smirnov: float
    wasserstein: float  # in standard deviations of the reference
    cramers_v: float  # as if both had equally many rows: 0 to 1
    missing_change: float  # share of missing or infinite values less that of the reference

@final
class TableSketch:
    """What is kept of a window's rows: at most 4 KB for each feature. See docs/sketches.md.

    The same calls in the same order give the same bytes. Reading changes nothing. A feature is
    named by its index in `schema.features`. Raises CoreError 3 for an index, a kind or data that do
    not fit. Thread: one at a time.
    """

    def __init__(self, schema: TableSchema) -> None: ...
    @staticmethod
    def parse(data: bytes) -> TableSketch:
        """Raises CoreError: 3 when it is no such container, 15 with the place of the damage."""
    @property
    def schema(self) -> TableSchema: ...
    @property
    def rows(self) -> int: ...
    @property
    def size_bytes(self) -> int:
        """Memory held."""
    def add(self, tensor: int, rows: int, data: bytes) -> None:
        """Adds rows of the schema's tensor number `tensor`, in raw wire form, GIL released."""
    def merge(self, other: TableSketch) -> None:
        """Adds what `other` saw; both have the same schema."""
    def serialize(self) -> bytes: ...
    def copy(self) -> TableSketch: ...
    def summary(self, feature: int) -> FeatureSummary: ...
    def quantiles(self, feature: int, ranks: Sequence[float]) -> list[float]:
        """The smallest value with at least that share of values at or below it; NaN when empty."""
    def ranks(self, feature: int, values: Sequence[float]) -> list[float]:
        """The share of values at or below each value; NaN when empty."""
    def histogram(self, feature: int, edges: Sequence[float]) -> list[float]:
        """Shares within [edges[i], edges[i + 1]), the last closed; one less than `edges`."""
    def scores(self, reference: TableSketch) -> list[FeatureScores]:
        """One for each feature, this sketch being the live one; both have the same schema."""
    def quantile_sketch(self, feature: int) -> bytes:
        """As datasketches.kll_floats_sketch reads it (FP64: kll_doubles_sketch)."""
    def distinct_sketch(self, feature: int) -> bytes:
        """As datasketches.hll_sketch reads it; category features."""

class KeptTensor(NamedTuple):
    """A tensor of a prediction. `data` is its raw form, as on the wire."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes

class Prediction(NamedTuple):
    """What is kept of one answered request. `time_ns` is the wall clock of its arrival."""

    version: int
    time_ns: int
    segment: KeptTensor | None
    outputs: list[KeptTensor]

class Joined(NamedTuple):
    """What became of a label; `prediction` when it was joined, `ticket` when it waits."""

    outcome: Literal["joined", "duplicate", "too_large", "late", "waiting", "unknown"]
    prediction: Prediction | None
    ticket: int

class PredictionStats(NamedTuple):
    """Counts since the start but for the last three (csrc/fastserve/engine/prediction_store.h)."""

    kept: int
    without_id: int
    too_large: int
    replaced: int
    evicted: int
    expired: int
    joined: int
    early: int
    late: int
    unknown: int
    duplicate: int
    records: int
    bytes: int
    waiting: int

@final
class PredictionStore:
    """The last predictions by model and request id, bounded by bytes and age.

    Thread: any. `now_ns` is time.monotonic_ns()'s clock, read where it is not given; it must not
    run backwards from one call to the next by more than what callers accept as age.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        max_record_bytes: int,
        max_age_ns: int,
        max_waiting: int,
        max_wait_ns: int,
        key: bytes,
    ) -> None:
        """`key`: 16 random bytes, which keep ids from being made to collide."""
    def put(
        self,
        model: str,
        version: int,
        id: str,  # noqa: A002 - the protocol's word
        outputs: Sequence[tuple[str, str, Sequence[int], bytes]],
        *,
        time_ns: int,
        segment: tuple[str, str, Sequence[int], bytes] | None = None,
        now_ns: int | None = None,
    ) -> None:
        """Keeps a prediction, as the data plane does: for replaying what was captured.

        Tensors are (name, datatype, shape, raw bytes). Raises CoreError for a datatype or a rank
        that there is not. One without an id is counted, not kept.
        """
    def join(
        self, model: str, ids: Sequence[str], *, may_wait: bool = False, now_ns: int | None = None
    ) -> list[Joined]:
        """One result for each id, in order; a prediction is joined once.

        With `may_wait` the label of an id that is not there yet waits, and is told by its ticket.
        """
    def release(self, model: str, id: str) -> None:  # noqa: A002 - the protocol's word
        """The label was of no use: the prediction can be joined again."""
    def take_waited(self, *, now_ns: int | None = None) -> tuple[list[int], list[int]]:
        """Tickets whose prediction has come, to be joined now, and those that waited in vain."""
    def stats(self) -> PredictionStats: ...
    @property
    def ring_bytes(self) -> int: ...

class CapturedTensor(NamedTuple):
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes  # raw wire form

class CapturedRequest(NamedTuple):
    """One request and its answer, as they went over the wire."""

    model: str
    version: int
    id: str
    route: str
    time_ns: int  # wall clock of the arrival
    queue_ns: int
    compute_ns: int
    total_ns: int
    rows: int  # 0: the tensors have no axis of rows
    inputs: list[CapturedTensor]
    outputs: list[CapturedTensor]

class CaptureQueueStats(NamedTuple):
    """All of one moment: offered == dropped + taken + waiting."""

    offered: int
    dropped: int
    taken: int
    waiting: int
    waiting_bytes: int

def is_captured(share: float, id: str, seed: int, counter: int) -> bool:  # noqa: A002 - C++'s name
    """Whether a request is in the captured share: by its id alone where it has one."""

@final
class CaptureQueue:
    """Sampled requests between the engine and whoever writes them; bounded by bytes.

    Thread: any. The engine puts without waiting; what finds no room is dropped and counted.
    """

    def __init__(self, max_bytes: int) -> None: ...
    @property
    def max_bytes(self) -> int: ...
    def put(self, request: CapturedRequest, first_row: int = 0) -> bool:
        """The engine's way in, for tests: `request.rows` rows of its tensors from `first_row` on.

        False when it was dropped.
        """
    def count_dropped(self, requests: int) -> None: ...
    def take(self, max_bytes: int) -> list[CapturedRequest]:
        """The oldest, as many as fit into `max_bytes`, but one at least; empty when none waits."""
    def wait(self, min_bytes: int, timeout_seconds: float) -> None:
        """Until so many bytes wait, or `wake` or `close` is called; GIL released."""
    def wake(self) -> None: ...
    def close(self) -> None:
        """What comes later is dropped; what waits can still be taken."""
    def stats(self) -> CaptureQueueStats: ...

class ShadowExample(NamedTuple):
    """A row that both answered otherwise; values are texts, cut to 16 elements."""

    id: str  # of the request, where it has one
    row: int  # within the request
    difference: float  # infinite where NaN is in one of the two alone
    live: list[str]
    candidate: list[str]

class ShadowOutput(NamedTuple):
    """How far one output's rows are apart (csrc/fastserve/engine/shadow_comparison.h)."""

    name: str
    rows: int
    differing_rows: int  # beyond the tolerance, or with another class, or NaN in one alone
    unequal_rows: int
    nan_rows: int
    wrong_shape_rows: int
    argmax_rows: int
    argmax_flips: int
    max_absolute: float
    max_relative: float
    correlated_rows: int
    mean_correlation: float  # NaN without such rows
    min_correlation: float
    worst: list[ShadowExample]

class ShadowReport(NamedTuple):
    """Rows, all of one moment: offered == compared + dropped + failed + waiting."""

    offered: int
    compared: int
    dropped: int
    failed: int
    waiting: int
    waiting_bytes: int
    differing: int  # in any output
    runs: int
    failed_runs: int
    run_ns: int
    first_error: str
    outputs: list[ShadowOutput]
    # Of each output two features, `output.absolute` and `output.relative`; None before the first.
    differences: TableSketch | None

@final
class Shadow:
    """A candidate that runs a share of what other versions serve, on idle processor time.

    Thread: any. Live answers never wait for it.
    """

    def __init__(
        self,
        engine: Engine,
        candidate: Version,
        share: float,
        max_bytes: int,
        seed: int,
        *,
        absolute_tolerance: float = 1e-6,
        relative_tolerance: float = 1e-3,
    ) -> None:
        """Raises CoreError 3 for a value out of range."""
    def attach(self, version: Version) -> None:
        """Takes its share of what `version` serves from now on, in place of a shadow before.

        Raises CoreError 9 with what differs between the signatures, ValueError for a version that
        is not watched.
        """
    def detach(self) -> None:
        """Takes no more from any version; what waits is still compared."""
    def report(self) -> ShadowReport: ...
    def wait(self, timeout_seconds: float) -> bool:
        """Until all that was served is compared, dropped or failed; False when the time is over."""
    def reset(self) -> None:
        """Counts anew; rows that wait go on waiting."""
    def close(self) -> None:
        """Ends the run under way and lets go of the candidate. The report stays."""
