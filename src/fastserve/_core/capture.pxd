# Captured requests on their way to the control plane. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.wire cimport CDType, CShape, CStringView, CTensorView

cdef extern from "fastserve/engine/capture_sample.h" namespace "fastserve::engine" nogil:
    cbool is_captured "fastserve::engine::is_captured"(
        double share, CStringView id, uint64_t seed, uint64_t counter)

cdef extern from "fastserve/engine/capture_queue.h" namespace "fastserve::engine" nogil:
    cdef cppclass CCapturedTensor "fastserve::engine::CapturedTensor":
        string name
        CDType dtype
        CShape shape

    cdef cppclass CCapturedRequest "fastserve::engine::CapturedRequest":
        string model
        uint64_t version
        string id
        string route
        int64_t time_ns
        int64_t queue_ns
        int64_t compute_ns
        int64_t total_ns
        int64_t rows
        vector[CCapturedTensor] inputs
        vector[CCapturedTensor] outputs

    cdef cppclass CCaptureQueueStats "fastserve::engine::CaptureQueueStats":
        uint64_t offered
        uint64_t dropped
        uint64_t taken
        uint64_t waiting
        size_t waiting_bytes

    cdef cppclass CCaptureQueue "fastserve::engine::CaptureQueue":
        CCaptureQueue(size_t max_bytes)
        size_t max_bytes()
        void count_dropped(uint64_t requests)
        vector[CCapturedRequest] take(size_t max_bytes)
        void wait(size_t min_bytes, int64_t timeout)
        void wake()
        void close()
        CCaptureQueueStats stats()

# CaptureView holds spans, which Cython has no words for.
cdef extern from *:
    """
    #include "fastserve/engine/capture_queue.h"
    namespace fastserve::engine {
    inline bool put_captured(CaptureQueue& queue, std::string_view model, uint64_t version,
                             std::string_view id, std::string_view route, const int64_t* times,
                             int64_t first_row, int64_t rows,
                             const std::vector<TensorView>& inputs,
                             const std::vector<TensorView>& outputs) {
      return queue.put({.model = model, .version = version, .id = id, .route = route,
                        .time_ns = times[0], .queue_ns = times[1], .compute_ns = times[2],
                        .total_ns = times[3], .first_row = first_row, .rows = rows,
                        .inputs = inputs, .outputs = outputs});
    }
    inline std::string_view captured_data(const CapturedTensor& tensor) {
      return {reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size()};
    }
    }  // namespace fastserve::engine
    """
    cbool put_captured "fastserve::engine::put_captured"(
        CCaptureQueue& queue, CStringView model, uint64_t version, CStringView id,
        CStringView route, const int64_t* times, int64_t first_row, int64_t rows,
        const vector[CTensorView]& inputs, const vector[CTensorView]& outputs) nogil
    CStringView captured_data "fastserve::engine::captured_data"(
        const CCapturedTensor& tensor) nogil
