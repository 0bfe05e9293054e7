// A named tensor whose bytes somebody else owns.
#pragma once

#include <string_view>

#include "fastserve/base/bytes.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve {

struct TensorView {
  std::string_view name;
  DType dtype = DType::kInvalid;
  Shape shape;
  ByteSpan data;  // raw form: little-endian; BYTES as 4-byte little-endian length, bytes, ...
};

}  // namespace fastserve
