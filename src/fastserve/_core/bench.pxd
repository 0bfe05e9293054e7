# The load generator of csrc/fastserve, as core.pyx uses it. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr, unique_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.engine cimport CResult
from fastserve._core.server cimport CTlsContext
from fastserve._core.wire cimport CStringView

cdef extern from "fastserve/bench/options.h" namespace "fastserve::bench" nogil:
    cdef enum class CArrivals "fastserve::bench::Arrivals"(uint8_t):
        kConstant
        kPoisson

    cdef cppclass CPayload "fastserve::bench::Payload":
        pass

    CPayload make_payload "fastserve::bench::make_payload"(CStringView message, uint32_t group)

    cdef cppclass CLoadOptions "fastserve::bench::LoadOptions":
        CLoadOptions()
        string host
        uint16_t port
        string unix_path
        shared_ptr[const CTlsContext] tls
        string path
        string authority
        vector[pair[string, string]] headers
        vector[CPayload] payloads
        uint32_t groups
        int threads
        int connections
        int in_flight
        double per_second
        CArrivals arrivals
        uint64_t seed
        uint64_t max_requests
        int64_t duration
        int64_t warm_up
        int64_t deadline
        int64_t drain
        int64_t connect_timeout

cdef extern from "fastserve/bench/histogram.h" namespace "fastserve::bench" nogil:
    double bucket_value "fastserve::bench::HistogramScale::value_of"(size_t bucket)

cdef extern from "fastserve/bench/run.h" namespace "fastserve::bench" nogil:
    cdef cppclass CGroupSnapshot "fastserve::bench::GroupSnapshot":
        uint64_t* statuses_data "statuses.data"()
        size_t statuses_size "statuses.size"()
        uint64_t measured
        uint64_t measured_ok
        vector[uint64_t] latency

    cdef cppclass CSnapshot "fastserve::bench::Snapshot":
        vector[CGroupSnapshot] groups
        uint64_t sent
        uint64_t unanswered
        uint64_t unsent
        uint64_t connects
        uint64_t lost
        uint64_t received_bytes
        uint64_t busy_ns
        vector[uint64_t] delay
        const string* examples_data "examples.data"()
        string failure
        int64_t began
        int64_t measure_from
        int64_t last_reply
        int64_t now
        cbool is_done

    cdef cppclass CLoadRun "fastserve::bench::LoadRun":
        CSnapshot snapshot()
        void stop()
        cbool wait(int64_t until)

    CResult[unique_ptr[CLoadRun]] start_load "fastserve::bench::LoadRun::start"(CLoadOptions)

cdef extern from "fastserve/base/clock.h" namespace "fastserve" nogil:
    int64_t monotonic_now "fastserve::monotonic_now"()
