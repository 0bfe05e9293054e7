# Shadow comparison. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.optional cimport optional
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.engine cimport CEngine, CResult, CVersion, CVersionHandle
from fastserve._core.sketch cimport CTableSketch

cdef extern from "fastserve/engine/shadow_comparison.h" namespace "fastserve::engine" nogil:
    cdef cppclass CShadowTolerance "fastserve::engine::ShadowTolerance":
        double absolute
        double relative

    cdef cppclass CShadowExample "fastserve::engine::ShadowExample":
        string id
        uint32_t row
        double difference
        vector[string] live
        vector[string] candidate

    cdef cppclass CShadowOutputTally "fastserve::engine::ShadowOutputTally":
        uint64_t rows
        uint64_t differing_rows
        uint64_t unequal_rows
        uint64_t nan_rows
        uint64_t wrong_shape_rows
        uint64_t argmax_rows
        uint64_t argmax_flips
        double max_absolute
        double max_relative
        uint64_t correlated_rows
        double correlation_sum
        double min_correlation
        vector[CShadowExample] worst

cdef extern from "fastserve/engine/shadow.h" namespace "fastserve::engine" nogil:
    cdef cppclass CShadowOptions "fastserve::engine::ShadowOptions":
        double share
        size_t max_bytes
        uint64_t seed
        CShadowTolerance tolerance

    cdef cppclass CShadowCounts "fastserve::engine::ShadowCounts":
        uint64_t offered
        uint64_t compared
        uint64_t dropped
        uint64_t failed
        uint64_t waiting
        uint64_t waiting_bytes
        uint64_t differing
        uint64_t runs
        uint64_t failed_runs
        int64_t run_ns

    cdef cppclass CShadowReport "fastserve::engine::ShadowReport":
        CShadowCounts counts
        string first_error
        vector[string] names
        vector[CShadowOutputTally] outputs
        optional[CTableSketch] differences

    cdef cppclass CShadowMapping "fastserve::engine::ShadowMapping":
        pass

    cdef cppclass CShadow "fastserve::engine::Shadow":
        CResult[CShadowMapping] map(const CVersion& live)
        CShadowReport report()
        cbool wait(int64_t timeout)
        void reset()
        void close()

    CResult[shared_ptr[CShadow]] make_shadow "fastserve::engine::Shadow::make"(
        CEngine& engine, CVersionHandle candidate, const CShadowOptions& options)
