# PredictionStore of core.pyi.
from fastserve._core cimport feedback as fb


class KeptTensor(NamedTuple):
    name: str
    datatype: str
    shape: tuple
    data: bytes


class Prediction(NamedTuple):
    version: int
    time_ns: int
    segment: KeptTensor | None
    outputs: list


class Joined(NamedTuple):
    outcome: str
    prediction: Prediction | None
    ticket: int


class PredictionStats(NamedTuple):
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


# In the order of the C++ enum JoinOutcome.
_JOIN_OUTCOMES = ("joined", "duplicate", "too_large", "late", "waiting", "unknown")


# `kept` holds on to the bytes that the view looks at.
cdef wire.CTensorView kept_view(object tensor, list kept) except *:
    cdef wire.CTensorView view
    name, datatype, shape, data = tensor
    name = name.encode()
    datatype = datatype.encode()
    data = bytes(data)
    kept.append((name, data))
    view.name = _view(name)
    view.dtype = wire.dtype_from_name(_view(datatype))
    if view.dtype == wire.CDType.kInvalid:
        raise CoreError(3, f"tensor {tensor[0]!r}: there is no datatype {tensor[1]!r}")
    view.shape = shape_of(shape, f"tensor {tensor[0]!r}")
    view.data = span_of(data)
    return view


cdef object kept_tensor(const wire.CTensorView& view):
    return KeptTensor(
        view_text(view.name), datatype_of(view.dtype),
        dims_of(view.shape), (<const char*>view.data.data())[:view.data.size()],
    )


cdef class PredictionStore:
    cdef shared_ptr[fb.CPredictionStore] handle

    def __init__(self, *, size_t max_bytes, size_t max_record_bytes, int64_t max_age_ns,
                 size_t max_waiting, int64_t max_wait_ns, bytes key not None):
        cdef fb.CPredictionStoreOptions options
        if len(key) != 16:
            raise CoreError(3, f"the key has {len(key)} bytes, expected 16")
        options.max_bytes = max_bytes
        options.max_record_bytes = max_record_bytes
        options.max_age = max_age_ns
        options.max_waiting = max_waiting
        options.max_wait = max_wait_ns
        options.key.low = int.from_bytes(key[:8], "little")
        options.key.high = int.from_bytes(key[8:], "little")
        self.handle = make_shared[fb.CPredictionStore](options)

    def put(self, str model not None, int64_t version, str id not None, outputs, *,
            int64_t time_ns, segment=None, now_ns=None):
        cdef list kept = []
        cdef bytes model_bytes = model.encode()
        cdef bytes id_bytes = id.encode()
        cdef vector[wire.CTensorView] tensors
        cdef wire.CTensorView segment_view
        cdef fb.CPredictionRecord record
        cdef int64_t now = fb.monotonic_now() if now_ns is None else now_ns
        for output in outputs:
            tensors.push_back(kept_view(output, kept))
        record.model = _view(model_bytes)
        record.id = _view(id_bytes)
        record.version = version
        record.time_ns = time_ns
        record.outputs = fb.tensors_of(tensors)
        if segment is not None:
            segment_view = kept_view(segment, kept)
            record.segment = &segment_view
        else:
            record.segment = NULL
        with nogil:
            self.handle.get().put(record, now)

    def join(self, str model not None, ids, *, bint may_wait=False, now_ns=None):
        cdef bytes model_bytes = model.encode()
        cdef list names = [name.encode() for name in ids]
        cdef vector[CStringView] views
        cdef fb.CJoinedBatch batch
        cdef vector[wire.CTensorView] tensors
        cdef const fb.CJoinedEntry* entry
        cdef size_t i
        cdef size_t k
        cdef int64_t now = fb.monotonic_now() if now_ns is None else now_ns
        cdef CStringView model_view = _view(model_bytes)
        views.reserve(len(names))
        for name in names:
            views.push_back(_view(name))
        with nogil:
            self.handle.get().join(model_view, views, may_wait, now, &batch)
        answer = []
        for i in range(batch.entries().size()):
            entry = &batch.entries()[i]
            prediction = None
            if entry.outcome == fb.CJoinOutcome.kJoined:
                batch.read(i, &tensors)
                kept = [kept_tensor(tensors[k]) for k in range(tensors.size())]
                segment = kept.pop(0) if entry.has_segment else None
                prediction = Prediction(entry.version, entry.time_ns, segment, kept)
            answer.append(Joined(_JOIN_OUTCOMES[<int>entry.outcome], prediction, entry.ticket))
        return answer

    def release(self, str model not None, str id not None):
        cdef bytes model_bytes = model.encode()
        cdef bytes id_bytes = id.encode()
        self.handle.get().release(_view(model_bytes), _view(id_bytes))

    def take_waited(self, *, now_ns=None):
        cdef vector[uint64_t] arrived
        cdef vector[uint64_t] expired
        cdef int64_t now = fb.monotonic_now() if now_ns is None else now_ns
        self.handle.get().take_waited(now, &arrived, &expired)
        return list(arrived), list(expired)

    def stats(self):
        cdef fb.CPredictionStoreStats now = self.handle.get().stats()
        return PredictionStats(
            now.kept, now.without_id, now.too_large, now.replaced, now.evicted, now.expired,
            now.joined, now.early, now.late, now.unknown, now.duplicate, now.records, now.bytes,
            now.waiting,
        )

    @property
    def ring_bytes(self):
        return self.handle.get().ring_bytes()
