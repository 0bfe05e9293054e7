# What is kept of a version's traffic. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.optional cimport optional
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.capture cimport CCaptureQueue
from fastserve._core.engine cimport CResult, CSignature
from fastserve._core.feedback cimport CPredictionStore
from fastserve._core.shadow cimport CShadow, CShadowMapping
from fastserve._core.sketch cimport CTableSchema, CTableSketch

cdef extern from "fastserve/engine/contract.h" namespace "fastserve::engine" nogil:
    cdef enum CRuleKind "fastserve::engine::ContractRule::Kind":
        RULE_RANGE "fastserve::engine::ContractRule::Kind::kRange"
        RULE_CATEGORY "fastserve::engine::ContractRule::Kind::kCategory"
        RULE_MISSING "fastserve::engine::ContractRule::Kind::kMissing"

    cdef cppclass CContractRule "fastserve::engine::ContractRule":
        uint32_t feature
        CRuleKind kind
        double low
        double high
        vector[string] categories

    cdef cppclass CContract "fastserve::engine::Contract":
        pass

    CResult[shared_ptr[CContract]] make_contract "fastserve::engine::Contract::make"(
        const CTableSchema& schema, vector[CContractRule] rules, cbool is_enforced)

cdef extern from "fastserve/engine/version_watch.h" namespace "fastserve::engine" nogil:
    cdef cppclass CWatchOptions "fastserve::engine::WatchOptions":
        shared_ptr[const CTableSchema] schema
        shared_ptr[CContract] contract
        shared_ptr[CPredictionStore] predictions
        optional[size_t] segment
        shared_ptr[CCaptureQueue] captures
        double capture_share
        uint64_t seed

    cdef cppclass CWatchStats "fastserve::engine::WatchStats":
        uint64_t rows_sketched
        uint64_t rows_skipped
        vector[uint64_t] violations

    cdef cppclass CVersionWatch "fastserve::engine::VersionWatch":
        void set_shadow(shared_ptr[CShadow] shadow, CShadowMapping mapping)
        optional[CTableSketch] take_window()
        CWatchStats stats()

    CResult[shared_ptr[CVersionWatch]] make_watch "fastserve::engine::VersionWatch::make"(
        string model, int64_t number, const CSignature& signature, cbool has_rows_axis,
        CWatchOptions options)
