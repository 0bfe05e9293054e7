# The runtime and the engine of csrc/fastserve, as core.pyx uses them. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.map cimport map as cmap
from libcpp.memory cimport shared_ptr, unique_ptr
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.call_log cimport CCallLog, CCallMethod
from fastserve._core.wire cimport CByteSpan, CDType, CShape, CStatus, CStringView, dtype_name

cdef extern from "fastserve/base/status.h" namespace "fastserve" nogil:
    cdef cppclass CResult "fastserve::Result"[T]:
        CResult(const CResult&)
        cbool ok()
        const CStatus& status()
        T& value()

cdef extern from "fastserve/base/buffer.h" namespace "fastserve" nogil:
    cdef cppclass CBuffer "fastserve::Buffer":
        const void* data()
        size_t size()
        void shrink(size_t keep_bytes)
        void swap(CBuffer& other)

cdef extern from "fastserve/runtime/signature.h" namespace "fastserve::runtime" nogil:
    cdef cppclass CTensorSpec "fastserve::runtime::TensorSpec":
        string name
        CDType dtype
        CShape shape
        vector[string] symbols

    cdef cppclass CSignature "fastserve::runtime::Signature":
        vector[CTensorSpec] inputs
        vector[CTensorSpec] outputs

    cdef cppclass CModelMetadata "fastserve::runtime::ModelMetadata":
        string producer
        string graph_name
        string domain
        string description
        int64_t version
        vector[pair[string, string]] custom

cdef extern from "fastserve/runtime/onnx_facts.h" namespace "fastserve::runtime" nogil:
    cdef cppclass CExternalTensor "fastserve::runtime::ExternalTensor":
        string name
        cbool is_initializer
        vector[pair[string, string]] entries

    cdef cppclass COnnxFacts "fastserve::runtime::OnnxFacts":
        int64_t ir_version
        vector[pair[string, int64_t]] opsets
        uint64_t node_count
        vector[CExternalTensor] external

    CResult[COnnxFacts] read_onnx_facts "fastserve::runtime::read_onnx_facts"(CByteSpan model)

cdef extern from "fastserve/runtime/session.h" namespace "fastserve::runtime" nogil:
    cdef cppclass CExternalFile "fastserve::runtime::ExternalFile":
        string name
        CByteSpan data

    cdef cppclass CLibrary "fastserve::runtime::Library":
        string version()
        vector[string] available_providers()

    cdef cppclass CProviderOptions "fastserve::runtime::ProviderOptions":
        string name
        vector[pair[string, string]] options

    cdef cppclass CSessionOptions "fastserve::runtime::SessionOptions":
        int intra_op_threads
        int inter_op_threads
        cbool allow_spinning
        cbool cpu_arena
        cbool memory_pattern
        int optimization_level
        vector[CProviderOptions] providers
        vector[pair[string, string]] config_entries

    cdef cppclass CSession "fastserve::runtime::Session":
        const CSignature& signature()
        const CModelMetadata& metadata()

    CResult[shared_ptr[CLibrary]] open_library "fastserve::runtime::Library::open"(
        const string& path)
    CResult[shared_ptr[CSession]] create_session "fastserve::runtime::Session::create"(
        shared_ptr[CLibrary] library, CByteSpan model, const CSessionOptions& options,
        const string& log_id, vector[CExternalFile] external)

cdef extern from "fastserve/runtime/row_independence.h" namespace "fastserve::runtime" nogil:
    cdef cppclass CBatchingVerdict "fastserve::runtime::BatchingVerdict":
        cbool is_safe
        string reason
    CBatchingVerdict probe_row_independence "fastserve::runtime::probe_row_independence"(
        CSession& session, uint64_t seed)

cdef extern from "fastserve/engine/stats.h" namespace "fastserve::engine" nogil:
    cdef const size_t kBucketCount
    cdef cppclass CBatchStats "fastserve::engine::BatchStats":
        uint64_t executions
        uint64_t compute_input_ns
        uint64_t compute_infer_ns
        uint64_t compute_output_ns

    # Arrays are indexed by the enums Failure, batch::Reason and Phase, in their order.
    cdef cppclass CStatsSnapshot "fastserve::engine::StatsSnapshot":
        uint64_t requests
        uint64_t rows
        uint64_t executions
        uint64_t failures[7]
        uint64_t failure_ns
        uint64_t releases[5]
        uint64_t buckets[5][21]
        uint64_t sum_ns[5]
        cmap[uint32_t, CBatchStats] batches
        int64_t last_inference
        uint64_t queue_requests
        uint64_t queue_rows
        uint64_t in_flight

cdef extern from "fastserve/engine/exemplars.h" namespace "fastserve::engine" nogil:
    cdef cppclass CExemplar "fastserve::engine::Exemplar":
        size_t bucket
        int64_t total
        int64_t at
        string id

    cdef cppclass CExemplars "fastserve::engine::Exemplars":
        vector[CExemplar] read()

cdef extern from "fastserve/engine/queue_policy.h" namespace "fastserve::engine" nogil:
    cdef cppclass CQueuePolicy "fastserve::engine::QueuePolicy":
        int64_t timeout
        cbool is_delay
        cbool allow_timeout_override
        uint64_t max_requests

cdef extern from "fastserve/engine/reshape.h" namespace "fastserve::engine" nogil:
    cdef cppclass CTensorReshape "fastserve::engine::TensorReshape":
        cbool is_input
        string name
        CShape wire
        CShape graph

cdef extern from "fastserve/engine/version.h" namespace "fastserve::engine" nogil:
    cdef cppclass CVersionConfig "fastserve::engine::VersionConfig":
        string model
        int64_t number
        cbool is_batching
        cbool has_rows_axis
        uint32_t max_rows
        cbool has_fixed_rows
        int64_t max_delay
        uint32_t weight
        uint64_t max_queue_rows
        uint64_t max_queue_bytes
        cbool allow_inline
        uint32_t max_request_rows
        uint32_t priority_levels
        uint32_t default_priority
        vector[CQueuePolicy] queue_policies
        vector[CTensorReshape] reshapes

    cdef cppclass CCostCurve "fastserve::batch::CostCurve":
        int64_t predict(uint32_t rows)

    cdef cppclass CVersion "fastserve::engine::Version":
        const CVersionConfig& config()
        const CCostCurve& cost()
        const CSignature& wire()
        CStatsSnapshot stats_snapshot()
        CExemplars& exemplars()
        int64_t references()
        int64_t last_inference()
        uint64_t in_flight()
        void sweep()
        # A sink and a contract; the sink's class is a base of the watch's.
        void watch(...)

    cdef cppclass CVersionHandle "fastserve::engine::VersionHandle":
        CVersionHandle()
        CVersion* get()

cdef extern from "fastserve/route/slot_map.h" namespace "fastserve::route" nogil:
    cdef cppclass CSlotMap "fastserve::route::SlotMap":
        size_t slot_of(CStringView key)

cdef extern from "fastserve/route/route_table.h" namespace "fastserve::route" nogil:
    cdef cppclass CChoice "fastserve::route::Choice":
        int64_t version

    cdef cppclass CRouteTable "fastserve::route::RouteTable":
        CChoice choose_key(CStringView key)
        const CSlotMap* slots()

cdef extern from "fastserve/engine/model_set.h" namespace "fastserve::engine" nogil:
    cdef cppclass CUnavailableVersion "fastserve::engine::UnavailableVersion":
        int64_t number
        string reason
        cbool is_on_demand

    cdef cppclass CModelEntry "fastserve::engine::ModelEntry":
        CModelEntry()
        string name
        vector[CVersionHandle] ready
        int64_t serving
        vector[pair[string, int64_t]] labels
        vector[CUnavailableVersion] unavailable
        shared_ptr[const CRouteTable] route

    cdef cppclass CModelSet "fastserve::engine::ModelSet":
        CModelSet()
        CModelSet(const CModelSet&)
        void put(CModelEntry)
        void remove(CStringView)

cdef extern from "fastserve/engine/wanted.h" namespace "fastserve::engine" nogil:
    cdef cppclass CWanted "fastserve::engine::Wanted":
        int event_fd()
        vector[pair[string, string]] take()

cdef extern from "fastserve/engine/observer.h" namespace "fastserve::engine" nogil:
    cdef cppclass CObserver "fastserve::engine::Observer":
        void sweep()

cdef extern from "fastserve/engine/engine.h" namespace "fastserve::engine" nogil:
    cdef cppclass CEngineOptions "fastserve::engine::EngineOptions":
        int executors
        size_t max_ports
        uint64_t max_queue_rows
        uint64_t max_queue_bytes
        uint64_t max_total_queue_bytes
        int64_t inline_budget

    cdef cppclass CEngine "fastserve::engine::Engine":
        CEngine(const CEngineOptions&)
        CResult[CVersionHandle] make_version(CVersionConfig, shared_ptr[CSession])
        void publish(shared_ptr[const CModelSet])
        shared_ptr[const CModelSet] models()
        CWanted& wanted()
        int64_t backlog_ns()
        size_t dying_versions()
        uint64_t total_queued_bytes()
        CResult[int64_t] warm_up(CVersion&, uint32_t rows)
        CObserver& observer()
        size_t writers()

cdef extern from "fastserve/engine/direct_run.h" namespace "fastserve::engine" nogil:
    cdef cppclass CRunInput "fastserve::runtime::RunInput":
        CByteSpan data
        CShape shape

    cdef cppclass COwnedTensor "fastserve::engine::OwnedTensor":
        cbool present
        CDType dtype
        CShape shape
        CBuffer data

    CResult[vector[COwnedTensor]] run_directly "fastserve::engine::run_directly"(
        CVersion& version, const vector[CRunInput]& inputs)

cdef extern from "fastserve/front/raw_port.h" namespace "fastserve::front" nogil:
    cdef cppclass CRawOrigin "fastserve::front::RawOrigin":
        CCallMethod method
        CStringView peer
        CStringView traceparent
        CStringView tracestate
        int32_t token

    cdef cppclass CRawAnswer "fastserve::front::RawAnswer":
        uint64_t token
        CStatus status
        string version
        string route
        CBuffer reply

    cdef cppclass CRawPort "fastserve::front::RawPort":
        CRawPort(CEngine*, CCallLog*)
        cbool is_open()
        int event_fd()
        CStatus submit(
            uint64_t token, CByteSpan message, int64_t deadline,
            vector[pair[string, string]] headers, const CRawOrigin& origin, int64_t* retry_after)
        void cancel(uint64_t token)
        void take(vector[CRawAnswer]*)

cdef extern from *:
    """
    #include <memory>
    #include "fastserve/engine/model_set.h"
    namespace fastserve::engine {
    // The publishing step wants a const set; Cython has no const cast for smart pointers.
    inline std::shared_ptr<const ModelSet> as_const_set(std::shared_ptr<ModelSet> set) {
      return set;
    }
    inline Nanos bucket_bound(size_t i) { return kBucketBounds[i]; }
    inline std::vector<uint64_t> phase_buckets(const StatsSnapshot& stats, size_t phase) {
      return {stats.buckets[phase].begin(), stats.buckets[phase].end()};
    }
    inline Nanos age_of(Nanos then) { return then == 0 ? -1 : monotonic_now() - then; }
    }  // namespace fastserve::engine
    """
    shared_ptr[const CModelSet] as_const_set "fastserve::engine::as_const_set"(
        shared_ptr[CModelSet]) nogil
    int64_t bucket_bound "fastserve::engine::bucket_bound"(size_t) nogil
    vector[uint64_t] phase_buckets "fastserve::engine::phase_buckets"(
        const CStatsSnapshot&, size_t phase) nogil
    int64_t age_of "fastserve::engine::age_of"(int64_t then) nogil
