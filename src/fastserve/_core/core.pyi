"""The seam to the compiled core: thin classes over the engine. No rule of the product lives here.

Every call that can take longer than a microsecond releases the GIL. Errors of the core arrive as
`CoreError` with the gRPC status code; `fastserve.errors` turns it into the product's classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, final

class CoreError(Exception):
    """A failed call of the core. `code` is a gRPC status number, `args[0]` the message."""

    code: int
    retry_after_ns: int

    def __init__(self, code: int, message: str, retry_after_ns: int = 0) -> None: ...

class TensorSpec(NamedTuple):
    name: str
    datatype: str  # wire name: "FP32", "BYTES", ...
    shape: tuple[int, ...]  # -1 where the request chooses
    symbols: tuple[str, ...]  # per axis; "" for fixed or unnamed axes

class ModelMetadata(NamedTuple):
    producer: str
    graph_name: str
    domain: str
    description: str
    version: int
    custom: dict[str, str]

class ExternalTensor(NamedTuple):
    """A tensor that keeps its data in another file; nothing of it has been checked."""

    name: str  # at most its first 200 bytes
    is_initializer: bool  # of the main graph
    entries: list[tuple[str, str]]  # "location", "offset", "length", ... as written

class OnnxFacts(NamedTuple):
    ir_version: int
    opsets: dict[str, int]  # by domain; "" is ONNX's own
    node_count: int  # of all graphs and functions
    external: list[ExternalTensor]

class BatchStats(NamedTuple):
    rows: int
    executions: int
    compute_input_ns: int
    compute_infer_ns: int
    compute_output_ns: int

class VersionStats(NamedTuple):
    requests: int
    rows: int
    executions: int
    # invalid, queue_full, overloaded, expired, cancelled, execution, draining
    failures: dict[str, int]
    failure_ns: int
    releases: dict[str, int]  # idle, full, deadline, oversize
    # queue, gather, compute, reply, total: (counts by bucket, the last +Inf; sum in ns)
    phases: dict[str, tuple[list[int], int]]
    batches: list[BatchStats]
    last_inference_age_ns: int  # -1 when it never ran
    queue_requests: int
    queue_rows: int
    in_flight: int

BUCKET_BOUNDS_SECONDS: tuple[float, ...]

@final
class Library:
    """The ONNX Runtime shared library, opened once. Raises CoreError when it cannot be used."""

    def __init__(self, path: str) -> None: ...
    @property
    def version(self) -> str: ...
    @property
    def providers(self) -> list[str]: ...

def read_onnx_facts(model: bytes) -> OnnxFacts:
    """What an ONNX file says about itself, in one pass that steps over tensors' data, GIL released.

    Raises CoreError: 15 when it is not an ONNX file, 12 for ONNX Runtime's own format.
    """

@final
class Session:
    """One ONNX model in ONNX Runtime. Built from bytes, as long as the model needs, GIL released.

    `external`: the files that the model's initializers name, by that name; not needed afterwards.

    `options`: intra_op_threads, inter_op_threads, allow_spinning, cpu_arena, memory_pattern,
    optimization_level, providers (list of (name, {key: value})), config_entries ({key: value}).
    """

    def __init__(
        self,
        library: Library,
        model: bytes,
        options: Mapping[str, Any],
        log_id: str,
        external: Mapping[str, bytes] | None = None,
    ) -> None: ...
    @property
    def inputs(self) -> list[TensorSpec]: ...
    @property
    def outputs(self) -> list[TensorSpec]: ...
    @property
    def metadata(self) -> ModelMetadata: ...
    def probe_row_independence(self, seed: int = 0) -> tuple[bool, str]: ...

@final
class WatchStats(NamedTuple):
    """Of one version, since it is watched."""

    rows_seen: int  # sketched or skipped, of those that the observer has come to
    rows_sketched: int
    rows_skipped: int
    violations: list[int]  # values that broke each rule of the contract

class Version:
    """One version of a model as the engine runs it; made by `Engine.make_version`."""

    @property
    def model(self) -> str: ...
    @property
    def number(self) -> int: ...
    def warm_up(self, rows: int) -> int:
        """Runs synthesised rows once, teaches the cost curve, returns nanoseconds."""
    def run(
        self, inputs: Sequence[tuple[Sequence[int], bytes]]
    ) -> list[tuple[str, tuple[int, ...], bytes] | None]:
        """Runs the model once, outside of the queue, and returns every output.

        `inputs`: (shape, raw data) in the order of `self.inputs`; the answer has (datatype, shape,
        raw data), or None for an optional output that the graph left out. Teaches the cost curve.
        Raises CoreError, naming the input that does not fit. Thread: any but the event loop's.
        """
    @property
    def inputs(self) -> list[TensorSpec]:
        """As clients see them: in other shapes than the session's where there are reshapes."""
    @property
    def outputs(self) -> list[TensorSpec]: ...
    def predict_ns(self, rows: int) -> int: ...
    def stats(self) -> VersionStats: ...
    @property
    def references(self) -> int: ...
    @property
    def idle_ns(self) -> int:
        """Since its last batch ended; -1 when it never ran one."""
    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
    def watch(
        self,
        schema: TableSchema | None = None,
        *,
        contract: Sequence[tuple[int, str, float, float, Sequence[str]]] = (),
        is_enforced: bool = False,
        predictions: PredictionStore | None = None,
        segment: int | None = None,
        captures: CaptureQueue | None = None,
        capture_share: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Keeps what its traffic says from now on; once, and before it is published.

        `schema`: its rows are sketched; the schema's tensors are the version's inputs, then its
        outputs. `contract`: rules on features of inputs (feature, "range", "category" or
        "missing", low, high, categories), counted, or when enforced held against each request.
        `predictions`: outputs of requests with an id are kept there, with the rows of the input
        number `segment`. `captures`: so large a share of the requests goes there.
        Errors: CoreError INVALID_ARGUMENT; ValueError when it is watched already.
        """
    def take_window(self) -> TableSketch | None:
        """What was served since the last call; None when nothing was. Releases the GIL."""
    def watch_stats(self) -> WatchStats: ...

@final
class RouteTable:
    """Which version answers a request that names none. Immutable.

    `entries`: (version, weight). `rules`: (header, "equals" or "prefix" or "present", value,
    version), the first that matches decides. `sticky`: ("header" or "parameter", name).
    `fallback`: the version that answers when the chosen one cannot; 0: none does. `writers`: the
    engine's. Raises CoreError 3, naming the entry or rule.
    """

    def __init__(
        self,
        entries: Sequence[tuple[int, float]],
        *,
        rules: Sequence[tuple[str, str, str, int]] = (),
        sticky: tuple[str, str] | None = None,
        generation: int = 0,
        seed: int = 0,
        fallback: int = 0,
        writers: int = 1,
    ) -> None: ...
    def choose_key(self, key: str) -> int:
        """The version of requests with this sticky key. Raises ValueError when there is no key."""
    def slot(self, key: str) -> int:
        """The key's slot of 65,536, as docs/routes.md explains it."""
    @property
    def counts(self) -> dict[str, int]:
        """Requests by the reason of their version: rule, sticky, weight, fallback."""

@final
class Engine:
    def __init__(
        self,
        *,
        executors: int,
        max_ports: int,
        max_queue_rows: int,
        max_queue_bytes: int,
        max_total_queue_bytes: int,
        inline_budget_ns: int,
    ) -> None: ...
    def make_version(
        self,
        session: Session,
        *,
        model: str,
        number: int,
        is_batching: bool,
        has_rows_axis: bool,
        max_rows: int,
        has_fixed_rows: bool,
        max_delay_ns: int,
        weight: int,
        max_queue_rows: int,
        max_queue_bytes: int,
        allow_inline: bool,
        max_request_rows: int = 0,
        priority_levels: int = 0,
        default_priority: int = 0,
        queue_policies: Sequence[tuple[int, bool, bool, int]] = (),
        reshapes: Sequence[tuple[bool, str, Sequence[int], Sequence[int]]] = (),
    ) -> Version:
        """The version, not served yet. Raises CoreError when its queue or shapes make no sense.

        `max_request_rows`: larger requests are refused (0: no bound of its own). `priority_levels`:
        how many a request may choose from, 1 being the most urgent (0: none), `default_priority`
        the level of those that choose none. `queue_policies`: (timeout in ns or 0, whether what
        waited longer is delayed and not refused, whether a client may shorten it, most waiting
        requests or 0), the default one, then one for each level. `reshapes`: (is input, name, shape
        that clients see, shape that the graph has), without the rows axis where there is one.
        """
    def publish(
        self,
        model: str,
        ready: Sequence[Version],
        serving: int,
        unavailable: Sequence[tuple[int, str, bool]],
        labels: Mapping[str, int],
        route: RouteTable | None = None,
    ) -> None:
        """What of `model` answers from now on; no request that starts later sees what was before.

        `serving` (0: none) answers requests that name no version. `unavailable`: (number, why it
        is not ready, whether it is loaded when a request asks for it). Thread: one, as `withdraw`.
        """
    @property
    def writers(self) -> int:
        """Threads that may serve: what a RouteTable is made for."""
    def withdraw(self, model: str) -> None:
        """The model is unknown from now on."""
    @property
    def wanted_fd(self) -> int:
        """Readable while requests wait for versions that are loaded on demand."""
    def take_wanted(self) -> list[tuple[str, str]]:
        """(model, version string as the request gave it), each once."""
    @property
    def dying_versions(self) -> int:
        """Versions that nobody holds any more and that are being destroyed."""
    @property
    def backlog_ns(self) -> int: ...
    @property
    def total_queued_bytes(self) -> int: ...
    def close(self) -> None:
        """Stops the executors; queued requests are answered UNAVAILABLE.

        The server and the raw ports must be closed.
        """

@final
class RawPort:
    """Raw bytes in, raw bytes out: a ModelInferRequest's bytes to a ModelInferResponse's bytes.

    Used by the grpc.aio transport and by the control plane itself. Thread: one (the event loop's).
    """

    def __init__(self, engine: Engine) -> None: ...
    @property
    def event_fd(self) -> int:
        """Readable while answers wait."""
    def submit(self, token: int, request: bytes, deadline_ns: int) -> None:
        """Submits one request; its answer comes out of `take`, perhaps at once.

        Call `take` after each submit: what ran on this thread does not touch `event_fd`.
        `deadline_ns` is on time.monotonic_ns()'s clock, -1 for none. Raises CoreError when refused;
        its `retry_after_ns` is then how long to wait before trying again (0: no advice).
        """
    def cancel(self, token: int) -> None: ...
    def take(self) -> list[tuple[int, int, str | bytes]]:
        """Finished requests: (token, status code, answer bytes if 0 else message)."""
    def close(self) -> None: ...

# kind, call id, payload. "start": (path, peer, deadline_ns or -1, [(key, value)]) with value
# str, or bytes for "-bin" keys; "message": bytes; the others: None.
BridgeEvent: TypeAlias = tuple[
    Literal["start", "message", "half_close", "cancelled", "writable"], int, Any
]

@final
class Server:
    """The native transport: listeners and io threads. The bridge gives the calls that are not hot.

    Thread: the control plane's.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        io_threads: int,
        max_message_bytes: int,
        max_concurrent_streams: int,
        max_header_bytes: int,
        max_connections: int,
        tokens: Sequence[str],  # empty: no token asked for
    ) -> None: ...
    def listen_tcp(
        self,
        host: str,
        port: int,
        *,
        certificate_pem: bytes | None = None,
        key_pem: bytes | None = None,
        client_ca_pem: bytes | None = None,
    ) -> tuple[str, int]:
        """Binds (port 0: any free) and returns what was bound. OSError with the address if not."""
    def listen_unix(self, path: str) -> None: ...
    def start(self) -> None:
        """Starts the io threads and accepts connections."""
    def replace_tokens(self, tokens: Sequence[str]) -> None:
        """A call that starts after this is held against these tokens; never make them empty."""
    def start_drain(self) -> None:
        """Stops accepting, tells clients to go (two-step GOAWAY); calls in flight go on."""
    @property
    def open_calls(self) -> int: ...
    @property
    def open_connections(self) -> int: ...
    def close(self) -> None:
        """Closes what is left and joins the io threads."""
    # The bridge.
    @property
    def event_fd(self) -> int: ...
    def take_events(self) -> list[BridgeEvent]: ...
    def send_initial_metadata(
        self, call: int, metadata: Sequence[tuple[str, str | bytes]]
    ) -> None: ...
    def send_message(self, call: int, message: bytes) -> None: ...
    def set_compression(self, call: int) -> None: ...
    def finish(
        self, call: int, code: int, message: str, trailers: Sequence[tuple[str, str | bytes]]
    ) -> None: ...
    def credit(self, call: int, size: int) -> None:
        """Python took `size` bytes of received messages; the peer may send as many more."""

class SketchFeature(NamedTuple):
    name: str  # "tensor", "tensor[i]", "tensor.norm", "tensor.mean", "tensor.projection[i]"
    tensor: str
    is_input: bool
    kind: str  # number, category, norm, mean, projection
    index: int  # of the element or the projection; 0 where there is one

@final
class TableSchema:
    """The features of a model's tensors, in their order. Immutable; equal when the tensors are.

    `tensors`: (name, is_input, datatype, elements of a row or -1 where it varies). Rows of up to 128
    elements have a feature for each: a number, or a category for integers, BOOL and BYTES. Of wider
    and of varying rows norm, mean and four projections are derived; BYTES are pooled in one category.
    Raises CoreError 3, naming the tensor.
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

    count: int  # all values
    missing: int  # NaN; of BYTES, the empty ones
    infinite: int
    zeros: int
    minimum: float
    maximum: float
    mean: float
    deviation: float  # of the population
    distinct: float  # categories only: estimate, exact while few
    top: list[
        tuple[str, int, int]
    ]  # value, count at least, and at most so many more; largest first

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

    The same calls in the same order give the same bytes. Reading changes nothing. Features are named
    by their index in `schema.features`. Raises CoreError 3 for an index, a kind or data that do not
    fit. Thread: one at a time.
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
        """Shares within [edges[i], edges[i + 1]), the last closed; one less than there are edges."""
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

# Test seam of the codec.
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

def decode_infer_request(message: bytes) -> dict[str, Any]: ...
def encode_infer_response(response: dict[str, Any]) -> bytes: ...
