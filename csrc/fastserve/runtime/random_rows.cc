#include "fastserve/runtime/random_rows.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "fastserve/tensor/half.h"

namespace fastserve::runtime {
namespace {

template <typename T>
void append_value(T value, Buffer* row) {
  std::memcpy(row->extend(sizeof value), &value, sizeof value);
}

}  // namespace

RandomRows::RandomRows(const Signature& signature, int64_t rows, int64_t axis_size,
                       int integer_limit, uint64_t seed)
    : random_(seed) {
  for (const TensorSpec& input : signature.inputs) {
    Shape shape = input.shape;
    shape[0] = 1;
    for (size_t axis = 1; axis < shape.rank(); ++axis) {
      if (shape[axis] == kDynamic) shape[axis] = axis_size;
    }
    int64_t elements = 0;
    if (!shape.element_count(&elements)) elements = 0;
    row_shapes_.push_back(shape);
    std::vector<Buffer>& made = rows_.emplace_back(static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) {
      append_row(input.dtype, elements, integer_limit,
                 std::ldexp(1.0, 2 * static_cast<int>(row) - 2), &made[static_cast<size_t>(row)]);
    }
  }
  memory_.resize(rows_.size());
  inputs_.resize(rows_.size());
}

void RandomRows::append_row(DType dtype, int64_t elements, int integer_limit, double scale,
                            Buffer* row) {
  std::normal_distribution<double> normal(0, scale);
  std::uniform_int_distribution<int> integer(0, integer_limit - 1);
  for (int64_t i = 0; i < elements; ++i) {
    switch (dtype) {
      case DType::kFp32:
        append_value(static_cast<float>(normal(random_)), row);
        break;
      case DType::kFp64:
        append_value(normal(random_), row);
        break;
      case DType::kFp16:
        append_value(half_from_float(static_cast<float>(normal(random_))), row);
        break;
      case DType::kBf16:
        append_value(bfloat_from_float(static_cast<float>(normal(random_))), row);
        break;
      case DType::kBool:
        append_value(static_cast<uint8_t>(integer(random_) & 1), row);
        break;
      case DType::kBytes: {
        std::string text = std::to_string(integer(random_));
        append_value(static_cast<uint32_t>(text.size()), row);
        row->append(as_bytes(text));
        break;
      }
      default: {
        // Small and not negative, so the low bytes are the value at every width.
        static_assert(std::endian::native == std::endian::little);
        auto value = static_cast<uint64_t>(integer(random_));
        std::memcpy(row->extend(dtype_size(dtype)), &value, dtype_size(dtype));
      }
    }
  }
}

std::span<const RunInput> RandomRows::take(std::span<const int64_t> order) {
  for (size_t i = 0; i < rows_.size(); ++i) {
    memory_[i].clear();
    for (int64_t row : order) memory_[i].append(rows_[i][static_cast<size_t>(row)].bytes());
    inputs_[i].data = memory_[i].bytes();
    inputs_[i].shape = row_shapes_[i];
    inputs_[i].shape[0] = static_cast<int64_t>(order.size());
  }
  return inputs_;
}

}  // namespace fastserve::runtime
