// Checks of one input against what clients see of a version. The words are Triton's
// (docs/protocol.md). Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/engine/version.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::engine {

// As `expected` where that is fixed.
bool fits(const Shape& shape, const Shape& expected);
// `got`: the shape in words.
Status wrong_shape(const Version& version, size_t index, const std::string& got);

// What a tensor of a shape holds.
struct InputSize {
  int64_t elements = 0;
  int64_t bytes = 0;  // 0 for BYTES
};
// False when these are too many to count.
bool count(const Shape& shape, DType dtype, InputSize* size);
Status too_many_elements(const Version& version, size_t index, const Shape& shape);
Status check_raw_data(const Version& version, size_t index, const InputSize& size, ByteSpan data);

// `rows` of input `name` are not the `expected` ones of the first input.
Status unequal_rows(const Version& version, std::string_view name, int64_t rows,
                    std::string_view first_name, int64_t expected);

}  // namespace fastserve::engine
