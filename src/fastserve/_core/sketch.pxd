# The sketches of csrc/fastserve/sketch, as core.pyx uses them. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport shared_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

from fastserve._core.engine cimport CResult
from fastserve._core.wire cimport CByteSpan, CDType, CStatus, CStringView


cdef extern from "fastserve/sketch/table_schema.h" namespace "fastserve::sketch" nogil:
    cdef enum class CFeatureKind "fastserve::sketch::FeatureKind"(uint8_t):
        kNumber

    CStringView kind_name "fastserve::sketch::kind_name"(CFeatureKind kind)

    cdef cppclass CTensorColumns "fastserve::sketch::TensorColumns":
        string name
        cbool is_input
        CDType dtype
        int64_t elements

    cdef cppclass CFeature "fastserve::sketch::Feature":
        string name
        uint32_t tensor
        CFeatureKind kind
        uint32_t index

    cdef cppclass CTableSchema "fastserve::sketch::TableSchema":
        CTableSchema(const CTableSchema&)
        const vector[CTensorColumns]& tensors()
        const vector[CFeature]& features()
        cbool operator==(const CTableSchema&)

    CResult[CTableSchema] make_schema "fastserve::sketch::TableSchema::make"(
        vector[CTensorColumns] tensors)

cdef extern from "fastserve/sketch/category_sketch.h" namespace "fastserve::sketch" nogil:
    cdef cppclass CHeavyHitter "fastserve::sketch::HeavyHitter":
        string value
        uint64_t count
        uint64_t error

cdef extern from "fastserve/sketch/distribution.h" namespace "fastserve::sketch" nogil:
    cdef cppclass CDistribution "fastserve::sketch::Distribution":
        double rank(double value)
        double quantile(double rank)

cdef extern from "fastserve/sketch/table_sketch.h" namespace "fastserve::sketch" nogil:
    cdef cppclass CFeatureSummary "fastserve::sketch::FeatureSummary":
        uint64_t count
        uint64_t missing
        uint64_t infinite
        uint64_t zeros
        double minimum
        double maximum
        double mean
        double deviation
        double distinct
        vector[CHeavyHitter] top

    cdef cppclass CNumberFeature "fastserve::sketch::NumberFeature":
        CDistribution distribution

    cdef cppclass CTableSketch "fastserve::sketch::TableSketch":
        CTableSketch(shared_ptr[const CTableSchema] schema)
        CTableSketch(const CTableSketch&)
        const shared_ptr[const CTableSchema]& shared_schema()
        uint64_t rows()
        size_t size_bytes()
        CStatus add(size_t tensor, int64_t rows, CByteSpan data)
        CStatus merge(const CTableSketch& other)
        string serialize()
        CResult[CFeatureSummary] summary(size_t feature)
        CResult[CNumberFeature] number(size_t feature)
        CResult[string] quantile_sketch(size_t feature)
        CResult[string] distinct_sketch(size_t feature)

    CResult[CTableSketch] parse_table "fastserve::sketch::TableSketch::parse"(CByteSpan data)

cdef extern from * nogil:
    """
    #include "fastserve/sketch/distribution.h"
    namespace fastserve::sketch {
    inline std::vector<double> histogram_of(const Distribution& distribution,
                                            const std::vector<double>& edges) {
      return distribution.histogram(edges);
    }
    }  // namespace fastserve::sketch
    """
    vector[double] histogram_of "fastserve::sketch::histogram_of"(
        const CDistribution& distribution, const vector[double]& edges)

cdef extern from "fastserve/sketch/scores.h" namespace "fastserve::sketch" nogil:
    cdef cppclass CFeatureScores "fastserve::sketch::FeatureScores":
        double psi
        double jensen_shannon
        double kolmogorov_smirnov
        double wasserstein
        double cramers_v
        double missing_change

    CResult[vector[CFeatureScores]] score_tables "fastserve::sketch::scores"(
        const CTableSketch& reference, const CTableSketch& live)
