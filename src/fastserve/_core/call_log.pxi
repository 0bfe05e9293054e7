# CallLog of core.pyi: records of calls on their way to spans and the access log.
from fastserve._core cimport call_log as lg

from fastserve._core.call_record import CallLogStats, CallOrigin, CallRecord, CallSample

_INFERENCE_PATHS = (
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelStreamInfer",
)


cdef str view_text(CStringView view):
    return view.data()[:view.size()].decode("utf-8", "replace")


cdef object trace_number(const lg.CTraceId& trace_id):
    return (<object>trace_id.high << 64) | trace_id.low


cdef object call_record(const lg.CCallRecord& record):
    cdef lg.CCallRecord* one = <lg.CCallRecord*>&record
    return CallRecord(
        view_text(one.path.view()) if one.method == lg.CCallMethod.kOther
        else _INFERENCE_PATHS[<int>one.method],
        view_text(one.model.view()), one.version, view_text(one.id.view()), one.id.is_cut(),
        view_text(one.peer.view()), one.token, <int>one.code,
        trace_number(one.trace_id), one.parent_id, one.span_id, view_text(one.state.view()),
        one.is_traced, one.is_logged, one.rows, one.received_bytes, one.sent_bytes, one.begun,
        one.received, one.timing.started, one.timing.gathered, one.timing.computed, one.answered,
    )


cdef class CallLog:
    cdef unique_ptr[lg.CCallLog] handle

    def __init__(self, *, trace_share=None, access_share=None):
        cdef lg.CCallLogOptions options
        options.has_tracing = trace_share is not None
        options.trace_share = trace_share or 0.0
        options.has_access_log = access_share is not None
        options.access_share = access_share or 0.0
        self.handle = make_unique[lg.CCallLog](options)

    def sample(self, str traceparent not None, *, bint may_trace=True):
        cdef bytes text = traceparent.encode("utf-8", "replace")
        cdef lg.CCallSample one = self.handle.get().sample(
            CStringView(<const char*>text, <size_t>len(text)), may_trace)
        return CallSample(
            trace_number(one.trace_id), one.parent_id, one.span_id, one.is_traced, one.is_logged)

    def take(self, size_t most):
        cdef vector[lg.CCallRecord] records
        cdef size_t i
        with nogil:
            self.handle.get().read(most, &records)
        return [call_record(records[i]) for i in range(records.size())]

    def stats(self):
        cdef lg.CCallLogStats stats = self.handle.get().stats()
        return CallLogStats(
            stats.recorded, stats.dropped_spans, stats.dropped_lines, stats.invalid_contexts)


cdef lg.CCallLog* log_of(CallLog log):
    if log is None:
        return NULL
    return log.handle.get()
