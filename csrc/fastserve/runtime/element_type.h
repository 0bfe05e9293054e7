// ONNX element types and the protocol's.
#pragma once

#include <string_view>

#include "fastserve/tensor/dtype.h"

namespace fastserve::runtime {

// kInvalid where the protocol has no name for it (float8, complex, int4, ...).
DType dtype_from_element(int element);
// 0 for kInvalid.
int element_from_dtype(DType dtype);
// For messages: "float8e4m3fn", "complex64"; "unknown" for types newer than this table.
std::string_view element_name(int element);

}  // namespace fastserve::runtime
