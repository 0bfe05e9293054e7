#include "fastserve/runtime/element_type.h"

#include <array>
#include <cstddef>

#include "fastserve/runtime/ort_api.h"

namespace fastserve::runtime {
namespace {

struct ElementType {
  std::string_view name;
  DType dtype;
};

// By ONNX Runtime's number.
constexpr std::array<ElementType, 26> kElements = {{
    {"undefined", DType::kInvalid},
    {"float", DType::kFp32},
    {"uint8", DType::kUint8},
    {"int8", DType::kInt8},
    {"uint16", DType::kUint16},
    {"int16", DType::kInt16},
    {"int32", DType::kInt32},
    {"int64", DType::kInt64},
    {"string", DType::kBytes},
    {"bool", DType::kBool},
    {"float16", DType::kFp16},
    {"double", DType::kFp64},
    {"uint32", DType::kUint32},
    {"uint64", DType::kUint64},
    {"complex64", DType::kInvalid},
    {"complex128", DType::kInvalid},
    {"bfloat16", DType::kBf16},
    {"float8e4m3fn", DType::kInvalid},
    {"float8e4m3fnuz", DType::kInvalid},
    {"float8e5m2", DType::kInvalid},
    {"float8e5m2fnuz", DType::kInvalid},
    {"uint4", DType::kInvalid},
    {"int4", DType::kInvalid},
    {"float4e2m1", DType::kInvalid},
    {"uint2", DType::kInvalid},
    {"int2", DType::kInvalid},
}};

static_assert(kElements[kOrtFloat].dtype == DType::kFp32);
static_assert(kElements[kOrtString].dtype == DType::kBytes);
static_assert(kElements[kOrtBool].dtype == DType::kBool);
static_assert(kElements[kOrtFloat16].dtype == DType::kFp16);
static_assert(kElements[kOrtUint64].dtype == DType::kUint64);
static_assert(kElements[kOrtBfloat16].dtype == DType::kBf16);

}  // namespace

DType dtype_from_element(int element) {
  auto index = static_cast<size_t>(element);
  return index < kElements.size() ? kElements[index].dtype : DType::kInvalid;
}

int element_from_dtype(DType dtype) {
  if (dtype == DType::kInvalid) return 0;
  for (size_t i = 0; i < kElements.size(); ++i) {
    if (kElements[i].dtype == dtype) return static_cast<int>(i);
  }
  return 0;
}

std::string_view element_name(int element) {
  auto index = static_cast<size_t>(element);
  return index < kElements.size() ? kElements[index].name : "unknown";
}

}  // namespace fastserve::runtime
