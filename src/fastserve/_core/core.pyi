"""The seam to the compiled core: thin classes over the engine. No rule of the product lives here.

Every call that can take longer than a microsecond releases the GIL. Errors of the core arrive as
`CoreError` with the gRPC status code; `fastserve.errors` turns it into the product's classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, final

from fastserve._core.call_record import (
    CallLogStats as CallLogStats,
    CallOrigin as CallOrigin,
    CallRecord as CallRecord,
    CallSample as CallSample,
)
from fastserve._core.core_bench import (
    LoadGroup as LoadGroup,
    LoadRun as LoadRun,
    LoadSnapshot as LoadSnapshot,
)
from fastserve._core.core_traffic import (
    CapturedRequest as CapturedRequest,
    CapturedTensor as CapturedTensor,
    CaptureQueue as CaptureQueue,
    CaptureQueueStats as CaptureQueueStats,
    FeatureScores as FeatureScores,
    FeatureSummary as FeatureSummary,
    Joined as Joined,
    KeptTensor as KeptTensor,
    Prediction as Prediction,
    PredictionStats as PredictionStats,
    PredictionStore as PredictionStore,
    Shadow as Shadow,
    ShadowExample as ShadowExample,
    ShadowOutput as ShadowOutput,
    ShadowReport as ShadowReport,
    SketchFeature as SketchFeature,
    TableSchema as TableSchema,
    TableSketch as TableSketch,
    is_captured as is_captured,
)

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

class Exemplar(NamedTuple):
    """The latest request whose total time fell into a bucket."""

    bucket: int
    total_ns: int
    age_ns: int
    request_id: str  # at most 118 bytes of what the client called it

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

def read_onnx_facts(model: bytes | memoryview) -> OnnxFacts:
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
        model: bytes | memoryview,
        options: Mapping[str, Any],
        log_id: str,
        external: Mapping[str, bytes | memoryview] | None = None,
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
    def exemplars(self) -> list[Exemplar]:
        """By bucket of the total duration; only requests that have an id."""
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
    def explain(
        self, headers: Sequence[tuple[str, str]], parameters: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, str, int, int]:
        """What a request with these would get: (version, reason, rule, slot).

        Version 0 where no key decides: the weights do. `rule` counts from 0, -1: none; `slot` -1:
        none. Nothing is counted.
        """
    @property
    def shares(self) -> list[float]:
        """By entry: its part of all sticky keys, or the weight's where there is no key."""
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
    def sweep_watches(self) -> None:
        """What was served before the call has reached all that watches; releases the GIL."""
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
class CallLog:
    """Records of the calls that are sampled, bounded: what finds no room is counted, not kept.

    `trace_share`: of calls that are in no trace; those whose trace is sampled are traced anyway.
    `access_share`: of all calls. None: no tracing, no access log.
    """

    def __init__(
        self, *, trace_share: float | None = None, access_share: float | None = None
    ) -> None: ...
    def sample(self, traceparent: str, *, may_trace: bool = True) -> CallSample:
        """For a call that the control plane serves and records. Thread: the event loop's."""
    def take(self, most: int) -> list[CallRecord]:
        """Calls of the data plane that ended, roughly in that order. Thread: one."""
    def stats(self) -> CallLogStats: ...

@final
class RawPort:
    """Raw bytes in, raw bytes out: a ModelInferRequest's bytes to a ModelInferResponse's bytes.

    Used by the grpc.aio transport and by the control plane itself. Thread: one (the event loop's).
    """

    def __init__(self, engine: Engine, call_log: CallLog | None = None) -> None: ...
    @property
    def event_fd(self) -> int:
        """Readable while answers wait."""
    def submit(
        self,
        token: int,
        request: bytes,
        deadline_ns: int,
        headers: Sequence[tuple[str, str]] = (),
        origin: CallOrigin | None = None,
    ) -> None:
        """Submits one request; its answer comes out of `take`, perhaps at once.

        Call `take` after each submit: what ran on this thread does not touch `event_fd`.
        `deadline_ns` is on time.monotonic_ns()'s clock, -1 for none. Raises CoreError when refused;
        its `retry_after_ns` is then how long to wait before trying again (0: no advice).
        `headers`: those that routes look at, names in lower case.
        """
    def cancel(self, token: int) -> None: ...
    def take(self) -> list[tuple[int, int, str | bytes, tuple[str, str] | None]]:
        """Finished requests: (token, status code, answer bytes if 0 else message, routed).

        `routed`: the version and why, of an answer that a route chose the version of.
        """
    def close(self) -> None: ...

# kind, call id, payload. "start": (path, peer, deadline_ns or -1, [(key, value)]) with value
# str, or bytes for "-bin" keys; "message": bytes, or a memoryview of a large one where it lies,
# from 1 MiB on; the others: None.
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
        call_log: CallLog | None = None,  # where ModelInfer and ModelStreamInfer are recorded
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

# Test seam of the codec.

def decode_infer_request(message: bytes) -> dict[str, Any]: ...
def encode_infer_response(response: dict[str, Any]) -> bytes: ...
