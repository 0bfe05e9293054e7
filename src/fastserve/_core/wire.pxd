# The codec of csrc/fastserve/wire, for the test seam in codec.pxi. C++ names get a C in front.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector


cdef extern from "<string_view>" namespace "std" nogil:
    cdef cppclass CStringView "std::string_view":
        CStringView()
        CStringView(const char* data, size_t size)
        const char* data()
        size_t size()

cdef extern from "fastserve/base/bytes.h" namespace "fastserve" nogil:
    cdef cppclass CByteSpan "fastserve::ByteSpan":
        CByteSpan()
        const void* data()
        size_t size()

    cdef cppclass CMutableByteSpan "fastserve::MutableByteSpan":
        pass

    CByteSpan as_bytes "fastserve::as_bytes"(CStringView text)

cdef extern from *:
    """
    namespace fastserve {
    inline MutableByteSpan writable_bytes(char* data, size_t size) {
      return {reinterpret_cast<std::byte*>(data), size};
    }
    }  // namespace fastserve
    """
    CMutableByteSpan writable_bytes "fastserve::writable_bytes"(char* data, size_t size) nogil

cdef extern from "fastserve/base/status.h" namespace "fastserve" nogil:
    cdef enum class CCode "fastserve::Code"(uint8_t):
        kOk

    cdef cppclass CStatus "fastserve::Status":
        CStatus()
        CStatus(CCode code, string message)
        cbool ok()
        CCode code()
        const string& message()

cdef extern from "fastserve/tensor/dtype.h" namespace "fastserve" nogil:
    cdef enum class CDType "fastserve::DType"(uint8_t):
        kInvalid

    CStringView dtype_name "fastserve::dtype_name"(CDType dtype)
    CDType dtype_from_name "fastserve::dtype_from_name"(CStringView name)

cdef extern from "fastserve/tensor/shape.h" namespace "fastserve" nogil:
    const size_t kMaxRank "fastserve::kMaxRank"

    cdef cppclass CShape "fastserve::Shape":
        size_t rank()
        const int64_t* data()
        void push_back(int64_t dim)

cdef extern from "fastserve/tensor/tensor_view.h" namespace "fastserve" nogil:
    cdef cppclass CTensorView "fastserve::TensorView":
        CTensorView()
        CStringView name
        CDType dtype
        CShape shape
        CByteSpan data

cdef extern from "fastserve/wire/parameter.h" namespace "fastserve::wire" nogil:
    cdef enum class CParameterKind "fastserve::wire::Parameter::Kind"(uint8_t):
        kNone
        kBool
        kInt64
        kString
        kDouble
        kUint64

    cdef cppclass CParameter "fastserve::wire::Parameter":
        CParameter()
        CStringView key
        CParameterKind kind
        cbool as_bool
        int64_t as_int64
        uint64_t as_uint64
        double as_double
        CStringView as_string

    cdef cppclass CParameterRange "fastserve::wire::ParameterRange":
        uint32_t begin
        uint32_t count

cdef extern from "fastserve/wire/infer_request.h" namespace "fastserve::wire" nogil:
    cdef cppclass CRequestLimits "fastserve::wire::RequestLimits":
        pass

    cdef enum class CContentsKind "fastserve::wire::ContentsKind"(uint8_t):
        kNone

    cdef cppclass CInputView "fastserve::wire::InputView":
        CStringView name
        CStringView datatype
        CDType dtype
        CShape shape
        cbool rank_too_large
        CParameterRange parameters
        cbool has_contents

    cdef cppclass COutputView "fastserve::wire::OutputView":
        CStringView name
        CParameterRange parameters

    cdef cppclass CInferRequestView "fastserve::wire::InferRequestView":
        CStringView model_name
        CStringView model_version
        CStringView id
        CParameterRange parameters
        vector[CInputView] inputs
        vector[COutputView] outputs
        vector[CByteSpan] raw_inputs
        vector[CParameter] parameters_pool

    CStatus parse_infer_request "fastserve::wire::parse_infer_request"(
        CByteSpan message, const CRequestLimits& limits, CInferRequestView* view)
    CStatus count_contents "fastserve::wire::count_contents"(
        const CInferRequestView& view, const CInputView& input, CContentsKind* kind,
        int64_t* elements, size_t* raw_bytes)
    CStatus copy_contents "fastserve::wire::copy_contents"(
        const CInferRequestView& view, const CInputView& input, CMutableByteSpan out)

cdef extern from "fastserve/wire/infer_response.h" namespace "fastserve::wire" nogil:
    cdef cppclass COutputTensor "fastserve::wire::OutputTensor":
        COutputTensor()
        CStringView name
        CDType dtype
        CShape shape
        CByteSpan data

    cdef cppclass CParameterSpan "std::span<const fastserve::wire::Parameter>":
        CParameterSpan()
        CParameterSpan(const CParameter* data, size_t size)

    cdef cppclass COutputSpan "std::span<const fastserve::wire::OutputTensor>":
        COutputSpan()
        COutputSpan(const COutputTensor* data, size_t size)

    cdef cppclass CInferResponse "fastserve::wire::InferResponse":
        CStringView model_name
        CStringView model_version
        CStringView id
        CParameterSpan parameters
        COutputSpan outputs
        cbool typed

    size_t infer_response_size "fastserve::wire::infer_response_size"(
        const CInferResponse& response)
    void write_infer_response "fastserve::wire::write_infer_response"(
        const CInferResponse& response, CMutableByteSpan out)

cdef extern from "fastserve/wire/stream_response.h" namespace "fastserve::wire" nogil:
    cdef cppclass CStreamResponse "fastserve::wire::StreamResponse":
        CStringView error_message
        CInferResponse response

    size_t stream_response_size "fastserve::wire::stream_response_size"(
        const CStreamResponse& message)
    void write_stream_response "fastserve::wire::write_stream_response"(
        const CStreamResponse& message, CMutableByteSpan out)
