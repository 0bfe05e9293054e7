# Library, Session, Version and Engine of core.pyi.
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from fastserve._core cimport watch as w


class TensorSpec(NamedTuple):
    name: str
    datatype: str
    shape: tuple
    symbols: tuple


class ModelMetadata(NamedTuple):
    producer: str
    graph_name: str
    domain: str
    description: str
    version: int
    custom: dict


class ExternalTensor(NamedTuple):
    name: str
    is_initializer: bool
    entries: list


class OnnxFacts(NamedTuple):
    ir_version: int
    opsets: dict
    node_count: int
    external: list


class BatchStats(NamedTuple):
    rows: int
    executions: int
    compute_input_ns: int
    compute_infer_ns: int
    compute_output_ns: int


class Exemplar(NamedTuple):
    bucket: int
    total_ns: int
    age_ns: int
    request_id: str


class VersionStats(NamedTuple):
    requests: int
    rows: int
    executions: int
    failures: dict
    failure_ns: int
    releases: dict
    phases: dict
    batches: list
    last_inference_age_ns: int
    queue_requests: int
    queue_rows: int
    in_flight: int


# In the order of the C++ enums Failure, Reason (without kWait, which releases nothing) and Phase.
_FAILURES = (
    "invalid", "queue_full", "overloaded", "expired", "cancelled", "execution", "draining",
)
_RELEASES = ("idle", "full", "deadline", "oversize")
_PHASES = ("queue", "gather", "compute", "reply", "total")
BUCKET_BOUNDS_SECONDS = tuple(c.bucket_bound(i) / 1e9 for i in range(c.kBucketCount - 1))

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF
cdef size_t HEADROOM = 5  # grpc::kMessageHeadroom


cdef str text_of(const string& value):
    return value.decode("utf-8", "replace")


cdef CByteSpan span_of(bytes data):
    return as_bytes(CStringView(<const char*>data, <size_t>len(data)))


# The bytes of whatever has bytes, which stay where they are as long as this lives.
cdef class HeldBytes:
    cdef Py_buffer view

    def __cinit__(self, data):
        PyObject_GetBuffer(data, &self.view, PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef CByteSpan span(self):
        return as_bytes(CStringView(<const char*>self.view.buf, <size_t>self.view.len))


cdef str datatype_of(c.CDType dtype):
    view = c.dtype_name(dtype)
    return view.data()[:view.size()].decode("ascii")


cdef tuple dims_of(const c.CShape& shape):
    cdef size_t axis
    return tuple([shape.data()[axis] for axis in range(shape.rank())])


# `what` has the shape, for the message when no shape can be so long.
cdef c.CShape shape_of(object dims, str what) except *:
    cdef c.CShape shape
    if len(dims) > wire.kMaxRank:
        raise CoreError(
            3, f"{what} has {len(dims)} dimensions, at most {wire.kMaxRank} are supported"
        )
    for dim in dims:
        shape.push_back(dim)
    return shape


cdef object spec_of(c.CTensorSpec spec):
    return TensorSpec(
        text_of(spec.name), datatype_of(spec.dtype), dims_of(spec.shape),
        tuple([text_of(symbol) for symbol in spec.symbols]),
    )


# By value: Cython iterates no const vector.
cdef list specs_of(vector[c.CTensorSpec] specs):
    return [spec_of(spec) for spec in specs]


cdef class Library:
    cdef shared_ptr[c.CLibrary] handle

    def __init__(self, str path not None):
        cdef string name = path.encode()
        cdef c.CResult[shared_ptr[c.CLibrary]]* opened
        with nogil:
            opened = new c.CResult[shared_ptr[c.CLibrary]](c.open_library(name))
        try:
            if not opened.ok():
                raise_status(opened.status())
            self.handle = opened.value()
        finally:
            del opened

    @property
    def version(self):
        return text_of(self.handle.get().version())

    @property
    def providers(self):
        return [text_of(name) for name in self.handle.get().available_providers()]


cdef vector[pair[string, string]] pairs_of(object items) except *:
    cdef vector[pair[string, string]] result
    cdef pair[string, string] entry
    for key, value in dict(items).items():
        entry.first = str(key).encode()
        entry.second = str(value).encode()
        result.push_back(entry)
    return result


cdef c.CSessionOptions session_options(object options) except *:
    cdef c.CSessionOptions result
    cdef c.CProviderOptions provider
    for key, value in dict(options).items():
        if key == "intra_op_threads":
            result.intra_op_threads = value
        elif key == "inter_op_threads":
            result.inter_op_threads = value
        elif key == "allow_spinning":
            result.allow_spinning = value
        elif key == "cpu_arena":
            result.cpu_arena = value
        elif key == "memory_pattern":
            result.memory_pattern = value
        elif key == "optimization_level":
            result.optimization_level = value
        elif key == "providers":
            for name, provider_options in value:
                provider.name = str(name).encode()
                provider.options = pairs_of(provider_options)
                result.providers.push_back(provider)
        elif key == "config_entries":
            result.config_entries = pairs_of(value)
        else:
            raise TypeError(f"unknown session option {key!r}")
    return result


# `held` gets what must live while the spans are used.
cdef vector[c.CExternalFile] external_files(object files, list held) except *:
    cdef vector[c.CExternalFile] result
    cdef c.CExternalFile file
    cdef HeldBytes data
    for name, content in files.items():
        data = HeldBytes(content)
        held.append(data)
        file.name = str(name).encode()
        file.data = data.span()
        result.push_back(file)
    return result


def read_onnx_facts(model):
    cdef HeldBytes content = HeldBytes(model)
    cdef CByteSpan data = content.span()
    cdef c.CResult[c.COnnxFacts]* read
    cdef vector[c.CExternalTensor] tensors
    cdef vector[pair[string, string]] entries
    cdef vector[pair[string, int64_t]] opsets
    cdef size_t i
    with nogil:
        read = new c.CResult[c.COnnxFacts](c.read_onnx_facts(data))
    try:
        if not read.ok():
            raise_status(read.status())
        tensors = read.value().external
        opsets = read.value().opsets
        external = []
        for i in range(tensors.size()):
            entries = tensors[i].entries
            external.append(ExternalTensor(
                text_of(tensors[i].name), bool(tensors[i].is_initializer),
                [(text_of(entry.first), text_of(entry.second)) for entry in entries],
            ))
        return OnnxFacts(
            read.value().ir_version,
            {text_of(opset.first): opset.second for opset in opsets},
            read.value().node_count, external,
        )
    finally:
        del read


cdef class Session:
    cdef shared_ptr[c.CSession] handle

    def __init__(self, Library library not None, model, options, str log_id not None,
                 external=None):
        cdef c.CSessionOptions session = session_options(options)
        cdef string name = log_id.encode()
        cdef HeldBytes content = HeldBytes(model)
        cdef CByteSpan data = content.span()
        cdef list held = []
        cdef vector[c.CExternalFile] files = external_files(external or {}, held)
        cdef c.CResult[shared_ptr[c.CSession]]* made
        with nogil:
            made = new c.CResult[shared_ptr[c.CSession]](
                c.create_session(library.handle, data, session, name, files))
        try:
            if not made.ok():
                raise_status(made.status())
            self.handle = made.value()
        finally:
            del made

    @property
    def inputs(self):
        return specs_of(self.handle.get().signature().inputs)

    @property
    def outputs(self):
        return specs_of(self.handle.get().signature().outputs)

    @property
    def metadata(self):
        cdef const c.CModelMetadata* facts = &self.handle.get().metadata()
        cdef vector[pair[string, string]] entries = facts.custom
        custom = {text_of(item.first): text_of(item.second) for item in entries}
        return ModelMetadata(
            text_of(facts.producer), text_of(facts.graph_name), text_of(facts.domain),
            text_of(facts.description), facts.version, custom,
        )

    def probe_row_independence(self, uint64_t seed=0):
        cdef c.CBatchingVerdict verdict
        with nogil:
            verdict = c.probe_row_independence(self.handle.get()[0], seed)
        return bool(verdict.is_safe), text_of(verdict.reason)


cdef class Version:
    cdef c.CVersionHandle handle
    cdef Engine engine
    cdef shared_ptr[w.CVersionWatch] observed

    def __init__(self):
        raise TypeError("a Version is made by Engine.make_version")

    @property
    def model(self):
        return text_of(self.handle.get().config().model)

    @property
    def number(self):
        return self.handle.get().config().number

    @property
    def references(self):
        return self.handle.get().references()

    @property
    def idle_ns(self):
        return c.age_of(self.handle.get().last_inference())

    @property
    def in_flight(self):
        return self.handle.get().in_flight()

    def warm_up(self, uint32_t rows):
        cdef c.CResult[int64_t]* ran
        cdef c.CEngine* engine = self.engine.running()
        with nogil:
            ran = new c.CResult[int64_t](engine.warm_up(self.handle.get()[0], rows))
        try:
            if not ran.ok():
                raise_status(ran.status())
            return ran.value()
        finally:
            del ran

    def run(self, inputs):
        cdef vector[c.CRunInput] run_inputs
        cdef c.CRunInput run_input
        cdef c.CResult[vector[c.COwnedTensor]]* ran
        cdef size_t i
        cdef const c.COwnedTensor* output
        cdef list kept = []  # the bytes that the run reads
        self.engine.running()
        for i, (shape, data) in enumerate(inputs):
            run_input.shape = shape_of(shape, f"input {i}")
            run_input.data = span_of(data)
            kept.append(data)
            run_inputs.push_back(run_input)
        with nogil:
            ran = new c.CResult[vector[c.COwnedTensor]](
                c.run_directly(self.handle.get()[0], run_inputs))
        try:
            if not ran.ok():
                raise_status(ran.status())
            answer = []
            for i in range(ran.value().size()):
                output = &ran.value()[i]
                if not output.present:
                    answer.append(None)
                    continue
                answer.append((
                    datatype_of(output.dtype), dims_of(output.shape),
                    (<const char*>output.data.data())[:output.data.size()],
                ))
            return answer
        finally:
            del ran

    def watch(self, TableSchema schema=None, *, contract=(), bint is_enforced=False,
              PredictionStore predictions=None, segment=None, CaptureQueue captures=None,
              double capture_share=0.0, uint64_t seed=0):
        cdef w.CWatchOptions options = watch_options(schema, contract, is_enforced)
        if predictions is not None:
            options.predictions = predictions.handle
        if segment is not None:
            options.segment = <size_t>segment
        if captures is not None:
            options.captures = captures.handle
            options.capture_share = capture_share
        options.seed = seed
        watch_version(self, options, is_enforced)

    def take_window(self):
        return window_of(self)

    def watch_stats(self):
        return watch_stats_of(self)

    @property
    def inputs(self):
        return specs_of(self.handle.get().wire().inputs)

    @property
    def outputs(self):
        return specs_of(self.handle.get().wire().outputs)

    def predict_ns(self, uint32_t rows):
        return self.handle.get().cost().predict(rows)

    def stats(self):
        cdef c.CStatsSnapshot now
        with nogil:
            now = self.handle.get().stats_snapshot()
        phases = {
            name: (c.phase_buckets(now, i), now.sum_ns[i]) for i, name in enumerate(_PHASES)
        }
        batches = [
            BatchStats(item.first, item.second.executions, item.second.compute_input_ns,
                       item.second.compute_infer_ns, item.second.compute_output_ns)
            for item in now.batches
        ]
        return VersionStats(
            now.requests, now.rows, now.executions,
            {name: now.failures[i] for i, name in enumerate(_FAILURES)},
            now.failure_ns,
            {name: now.releases[i] for i, name in enumerate(_RELEASES)},
            phases, batches, c.age_of(now.last_inference),
            now.queue_requests, now.queue_rows, now.in_flight,
        )

    def exemplars(self):
        cdef vector[c.CExemplar] found
        with nogil:
            found = self.handle.get().exemplars().read()
        return [
            Exemplar(one.bucket, one.total, c.age_of(one.at), text_of(one.id)) for one in found
        ]


cdef class Engine:
    cdef unique_ptr[c.CEngine] handle

    def __init__(self, *, int executors, size_t max_ports, uint64_t max_queue_rows,
                 uint64_t max_queue_bytes, uint64_t max_total_queue_bytes,
                 int64_t inline_budget_ns):
        cdef c.CEngineOptions options
        options.executors = executors
        options.max_ports = max_ports
        options.max_queue_rows = max_queue_rows
        options.max_queue_bytes = max_queue_bytes
        options.max_total_queue_bytes = max_total_queue_bytes
        options.inline_budget = inline_budget_ns
        self.handle = make_unique[c.CEngine](options)

    cdef c.CEngine* running(self) except NULL:
        if self.handle.get() == NULL:
            raise ValueError("the engine is closed")
        return self.handle.get()

    def make_version(self, Session session not None, *, str model not None, int64_t number,
                     bint is_batching, bint has_rows_axis, uint32_t max_rows, bint has_fixed_rows,
                     int64_t max_delay_ns, uint32_t weight, uint64_t max_queue_rows,
                     uint64_t max_queue_bytes, bint allow_inline, uint32_t max_request_rows=0,
                     uint32_t priority_levels=0, uint32_t default_priority=0, queue_policies=(),
                     reshapes=()):
        cdef c.CVersionConfig config
        cdef c.CQueuePolicy policy
        cdef c.CTensorReshape reshape
        cdef c.CResult[c.CVersionHandle]* made
        cdef c.CEngine* engine = self.running()
        config.model = model.encode()
        config.number = number
        config.is_batching = is_batching
        config.has_rows_axis = has_rows_axis
        config.max_rows = max_rows
        config.has_fixed_rows = has_fixed_rows
        config.max_delay = max_delay_ns
        config.weight = weight
        config.max_queue_rows = max_queue_rows
        config.max_queue_bytes = max_queue_bytes
        config.allow_inline = allow_inline
        config.max_request_rows = max_request_rows
        config.priority_levels = priority_levels
        config.default_priority = default_priority
        for timeout_ns, is_delay, allow_timeout_override, max_requests in queue_policies:
            policy.timeout = timeout_ns
            policy.is_delay = is_delay
            policy.allow_timeout_override = allow_timeout_override
            policy.max_requests = max_requests
            config.queue_policies.push_back(policy)
        for is_input, name, wire_shape, graph_shape in reshapes:
            what = f"the reshape of {'input' if is_input else 'output'} '{name}'"
            reshape.is_input = is_input
            reshape.name = name.encode()
            reshape.wire = shape_of(wire_shape, what)
            reshape.graph = shape_of(graph_shape, what)
            config.reshapes.push_back(reshape)
        cdef Version version = Version.__new__(Version)
        version.engine = self
        with nogil:
            made = new c.CResult[c.CVersionHandle](engine.make_version(config, session.handle))
        try:
            if not made.ok():
                raise_status(made.status())
            version.handle = made.value()
        finally:
            del made
        return version

    def publish(self, str model not None, ready, int64_t serving, unavailable, labels,
                RouteTable route=None):
        cdef c.CModelEntry entry
        cdef c.CUnavailableVersion waiting
        cdef pair[string, int64_t] labelled
        cdef Version version
        cdef shared_ptr[c.CModelSet] models
        cdef c.CEngine* engine = self.running()
        entry.name = model.encode()
        entry.serving = serving
        for version in sorted(ready, key=lambda version: version.number):
            entry.ready.push_back(version.handle)
        for number, reason, is_on_demand in unavailable:
            waiting.number = number
            waiting.reason = reason.encode()
            waiting.is_on_demand = is_on_demand
            entry.unavailable.push_back(waiting)
        if route is not None:
            entry.route = route.handle
        for label, number in labels.items():
            labelled.first = label.encode()
            labelled.second = number
            entry.labels.push_back(labelled)
        with nogil:
            models = make_shared[c.CModelSet](engine.models().get()[0])
            models.get().put(move(entry))
            engine.publish(c.as_const_set(models))

    @property
    def writers(self):
        return self.running().writers()

    def withdraw(self, str model not None):
        cdef string name = model.encode()
        cdef shared_ptr[c.CModelSet] models
        cdef c.CEngine* engine = self.running()
        with nogil:
            models = make_shared[c.CModelSet](engine.models().get()[0])
            models.get().remove(CStringView(name.data(), name.size()))
            engine.publish(c.as_const_set(models))

    @property
    def wanted_fd(self):
        return self.running().wanted().event_fd()

    def take_wanted(self):
        return [
            (text_of(wish.first), text_of(wish.second)) for wish in self.running().wanted().take()
        ]

    def sweep_watches(self):
        cdef c.CEngine* engine = self.running()
        with nogil:
            engine.observer().sweep()

    @property
    def dying_versions(self):
        return self.running().dying_versions()

    @property
    def backlog_ns(self):
        return self.running().backlog_ns()

    @property
    def total_queued_bytes(self):
        return self.running().total_queued_bytes()

    def close(self):
        cdef c.CEngine* engine = self.handle.release()
        with nogil:
            del engine
