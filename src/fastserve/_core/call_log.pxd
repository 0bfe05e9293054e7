# The records of calls of csrc/fastserve, as core.pyx uses them. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uint8_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from fastserve._core.wire cimport CCode, CStringView

cdef extern from "fastserve/engine/request.h" namespace "fastserve::engine" nogil:
    cdef cppclass CTiming "fastserve::engine::Timing":
        int64_t started
        int64_t gathered
        int64_t computed

cdef extern from "fastserve/front/trace_context.h" namespace "fastserve::front" nogil:
    cdef cppclass CTraceId "fastserve::front::TraceId":
        uint64_t high
        uint64_t low

cdef extern from "fastserve/front/call_record.h" namespace "fastserve::front" nogil:
    cdef enum class CCallMethod "fastserve::front::CallMethod"(uint8_t):
        kModelInfer
        kModelStreamInfer
        kOther

    # BoundedText of any size.
    cdef cppclass CBoundedText "fastserve::front::BoundedText<64>":
        CStringView view()
        cbool is_cut()

    cdef cppclass CCallRecord "fastserve::front::CallRecord":
        int64_t begun
        int64_t received
        CTiming timing
        int64_t answered
        CTraceId trace_id
        uint64_t parent_id
        uint64_t span_id
        int64_t version
        uint64_t received_bytes
        uint64_t sent_bytes
        uint32_t rows
        int32_t token
        CCode code
        CCallMethod method
        cbool is_traced
        cbool is_logged
        CBoundedText path
        CBoundedText model
        CBoundedText id
        CBoundedText peer
        CBoundedText state

cdef extern from "fastserve/front/call_log.h" namespace "fastserve::front" nogil:
    cdef cppclass CCallLogOptions "fastserve::front::CallLogOptions":
        cbool has_tracing
        double trace_share
        cbool has_access_log
        double access_share

    cdef cppclass CCallLogStats "fastserve::front::CallLogStats":
        uint64_t recorded
        uint64_t dropped_spans
        uint64_t dropped_lines
        uint64_t invalid_contexts

    cdef cppclass CCallSample "fastserve::front::CallSample":
        CTraceId trace_id
        uint64_t parent_id
        uint64_t span_id
        cbool is_traced
        cbool is_logged

    cdef cppclass CCallLog "fastserve::front::CallLog":
        CCallLog(const CCallLogOptions&)
        void read(size_t max_count, vector[CCallRecord]*)
        CCallLogStats stats()
        CCallSample sample(CStringView traceparent, cbool may_trace)
