#include "fastserve/batch/gather.h"

#include <cstring>

namespace fastserve::batch {
namespace {

constexpr size_t kLengthBytes = 4;

// Offset behind the BYTES element at `offset`; 0 when it does not lie within `data`.
size_t next_element(ByteSpan data, size_t offset) {
  if (data.size() - offset < kLengthBytes) return 0;
  uint32_t length;
  std::memcpy(&length, data.data() + offset, kLengthBytes);
  if (length > data.size() - offset - kLengthBytes) return 0;
  return offset + kLengthBytes + length;
}

Status broken(std::string_view output_name, const std::string& what) {
  return {Code::kInternal, "output '" + std::string(output_name) + "' of the batch " + what};
}

}  // namespace

void gather(std::span<const ByteSpan> pieces, Buffer* out) {
  out->clear();
  size_t total = 0;
  for (ByteSpan piece : pieces) total += piece.size();
  if (total == 0) return;
  std::byte* to = out->extend(total);
  for (ByteSpan piece : pieces) {
    if (piece.empty()) continue;
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
}

Status Scatter::reset(std::string_view output_name, DType dtype, const Shape& shape, ByteSpan data,
                      int64_t rows) {
  data_ = {};
  row_bytes_ = 0;
  is_bytes_ = dtype == DType::kBytes;
  row_offsets_.clear();
  if (shape.rank() == 0 || shape[0] != rows) {
    return broken(output_name, "has shape " + shape.to_string() + ", expected " +
                                   std::to_string(rows) +
                                   " rows on the first axis: the model does not keep the batch "
                                   "axis; set batching off for it");
  }
  int64_t elements = 0;
  if (!shape.element_count(&elements)) {
    return broken(output_name, "has the impossible shape " + shape.to_string());
  }
  if (!is_bytes_) {
    if (data.size() != static_cast<size_t>(elements) * dtype_size(dtype)) {
      return broken(output_name, "holds " + std::to_string(data.size()) + " bytes for shape " +
                                     shape.to_string() + " of " + std::string(dtype_name(dtype)));
    }
    data_ = data;
    if (rows > 0) row_bytes_ = data.size() / static_cast<size_t>(rows);
    return {};
  }
  int64_t per_row = rows > 0 ? elements / rows : 0;
  row_offsets_.push_back(0);
  size_t offset = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < per_row; ++i) {
      size_t next = next_element(data, offset);
      if (next == 0) {
        return broken(output_name, "ends within element " + std::to_string(row * per_row + i));
      }
      offset = next;
    }
    row_offsets_.push_back(offset);
  }
  if (offset != data.size()) {
    return broken(output_name,
                  "has " + std::to_string(data.size() - offset) + " bytes behind its last element");
  }
  data_ = data;
  return {};
}

ByteSpan Scatter::slice(int64_t begin, int64_t count) const {
  auto first = static_cast<size_t>(begin);
  auto rows = static_cast<size_t>(count);
  if (!is_bytes_) return data_.subspan(first * row_bytes_, rows * row_bytes_);
  return data_.subspan(row_offsets_[first], row_offsets_[first + rows] - row_offsets_[first]);
}

}  // namespace fastserve::batch
