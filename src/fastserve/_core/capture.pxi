# CaptureQueue and its values of core.pyi.
from fastserve._core cimport capture


class CapturedTensor(NamedTuple):
    name: str
    datatype: str
    shape: tuple
    data: bytes


class CapturedRequest(NamedTuple):
    model: str
    version: int
    id: str
    route: str
    time_ns: int
    queue_ns: int
    compute_ns: int
    total_ns: int
    rows: int
    inputs: list
    outputs: list


class CaptureQueueStats(NamedTuple):
    offered: int
    dropped: int
    taken: int
    waiting: int
    waiting_bytes: int


def is_captured(double share, str id not None, uint64_t seed, uint64_t counter):
    cdef bytes encoded = id.encode()
    return bool(capture.is_captured(share, _view(encoded), seed, counter))


# `kept` holds what the views lead to.
cdef vector[wire.CTensorView] tensor_views(object tensors, list kept) except *:
    cdef vector[wire.CTensorView] views
    cdef wire.CTensorView view
    for name, datatype, shape, data in tensors:
        texts = (name.encode(), datatype.encode(), bytes(data))
        kept.append(texts)
        view.name = _view(texts[0])
        view.dtype = wire.dtype_from_name(_view(texts[1]))
        view.shape = shape_of(shape, f"tensor {name!r}")
        view.data = span_of(texts[2])
        views.push_back(view)
    return views


cdef list captured_tensors(vector[capture.CCapturedTensor]& tensors):
    cdef size_t i
    cdef CStringView data
    result = []
    for i in range(tensors.size()):
        data = capture.captured_data(tensors[i])
        result.append(CapturedTensor(
            text_of(tensors[i].name), datatype_of(tensors[i].dtype), dims_of(tensors[i].shape),
            data.data()[:data.size()],
        ))
    return result


cdef class CaptureQueue:
    cdef shared_ptr[capture.CCaptureQueue] handle

    def __init__(self, size_t max_bytes):
        self.handle = make_shared[capture.CCaptureQueue](max_bytes)

    @property
    def max_bytes(self):
        return self.handle.get().max_bytes()

    def put(self, object request not None, int64_t first_row=0):
        cdef list kept = [
            request.model.encode(), request.id.encode(), request.route.encode(),
        ]
        cdef CStringView model = _view(kept[0])
        cdef CStringView id_view = _view(kept[1])
        cdef CStringView route = _view(kept[2])
        cdef vector[wire.CTensorView] inputs = tensor_views(request.inputs, kept)
        cdef vector[wire.CTensorView] outputs = tensor_views(request.outputs, kept)
        cdef int64_t[4] times
        cdef uint64_t version = request.version
        cdef int64_t rows = request.rows
        cdef cbool is_put
        times[0] = request.time_ns
        times[1] = request.queue_ns
        times[2] = request.compute_ns
        times[3] = request.total_ns
        with nogil:
            is_put = capture.put_captured(
                self.handle.get()[0], model, version, id_view, route, times, first_row, rows,
                inputs, outputs)
        return bool(is_put)

    def count_dropped(self, uint64_t requests):
        self.handle.get().count_dropped(requests)

    def take(self, size_t max_bytes):
        cdef vector[capture.CCapturedRequest] taken
        cdef size_t i
        with nogil:
            taken = self.handle.get().take(max_bytes)
        result = []
        for i in range(taken.size()):
            result.append(CapturedRequest(
                text_of(taken[i].model), taken[i].version, text_of(taken[i].id),
                text_of(taken[i].route), taken[i].time_ns, taken[i].queue_ns,
                taken[i].compute_ns, taken[i].total_ns, taken[i].rows,
                captured_tensors(taken[i].inputs), captured_tensors(taken[i].outputs),
            ))
        return result

    def wait(self, size_t min_bytes, double timeout_seconds):
        cdef int64_t timeout = <int64_t>(timeout_seconds * 1e9)
        with nogil:
            self.handle.get().wait(min_bytes, timeout)

    def wake(self):
        self.handle.get().wake()

    def close(self):
        self.handle.get().close()

    def stats(self):
        stats = self.handle.get().stats()
        return CaptureQueueStats(
            stats.offered, stats.dropped, stats.taken, stats.waiting, stats.waiting_bytes,
        )
