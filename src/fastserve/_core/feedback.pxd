# The store of predictions in csrc/fastserve/engine, for feedback.pxi. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

from fastserve._core.wire cimport CDType, CStringView, CTensorView

cdef extern from "fastserve/base/clock.h" namespace "fastserve" nogil:
    int64_t monotonic_now "fastserve::monotonic_now"()

cdef extern from "fastserve/base/sip_hash.h" namespace "fastserve" nogil:
    cdef cppclass CHash128 "fastserve::Hash128":
        uint64_t low
        uint64_t high

cdef extern from *:
    """
    namespace fastserve {
    inline std::span<const TensorView> tensors_of(const std::vector<TensorView>& tensors) {
      return {tensors.data(), tensors.size()};
    }
    }  // namespace fastserve
    """
    cdef cppclass CTensors "std::span<const fastserve::TensorView>":
        pass

    CTensors tensors_of "fastserve::tensors_of"(const vector[CTensorView]& tensors) nogil

cdef extern from "fastserve/engine/prediction_record.h" namespace "fastserve::engine" nogil:
    cdef cppclass CPredictionRecord "fastserve::engine::PredictionRecord":
        CPredictionRecord()
        CStringView model
        CStringView id
        int64_t version
        int64_t time_ns
        CTensors outputs
        const CTensorView* segment

cdef extern from "fastserve/engine/prediction_store.h" namespace "fastserve::engine" nogil:
    cdef cppclass CPredictionStoreOptions "fastserve::engine::PredictionStoreOptions":
        CPredictionStoreOptions()
        size_t max_bytes
        size_t max_record_bytes
        int64_t max_age
        size_t max_waiting
        int64_t max_wait
        CHash128 key

    cdef enum class CJoinOutcome "fastserve::engine::JoinOutcome"(uint8_t):
        kJoined

    cdef cppclass CPredictionStoreStats "fastserve::engine::PredictionStoreStats":
        uint64_t kept
        uint64_t without_id
        uint64_t too_large
        uint64_t replaced
        uint64_t evicted
        uint64_t expired
        uint64_t joined
        uint64_t early
        uint64_t late
        uint64_t unknown
        uint64_t duplicate
        uint64_t records
        uint64_t bytes
        uint64_t waiting

    cdef cppclass CJoinedEntry "fastserve::engine::JoinedBatch::Entry":
        CJoinOutcome outcome
        cbool has_segment
        int64_t version
        int64_t time_ns
        uint64_t ticket

    cdef cppclass CJoinedBatch "fastserve::engine::JoinedBatch":
        CJoinedBatch()
        void clear()
        const vector[CJoinedEntry]& entries()
        void read(size_t entry, vector[CTensorView]* tensors)

    cdef cppclass CPredictionStore "fastserve::engine::PredictionStore":
        CPredictionStore(const CPredictionStoreOptions& options)
        void put(const CPredictionRecord& record, int64_t now)
        void join(CStringView model, const vector[CStringView]& ids, cbool may_wait, int64_t now,
                  CJoinedBatch* batch)
        void release(CStringView model, CStringView id)
        void take_waited(int64_t now, vector[uint64_t]* arrived, vector[uint64_t]* expired)
        CPredictionStoreStats stats()
        size_t ring_bytes()
