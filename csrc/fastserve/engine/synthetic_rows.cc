#include "fastserve/engine/synthetic_rows.h"

#include <cstring>

#include "fastserve/batch/gather.h"

namespace fastserve::engine {

SyntheticRows::SyntheticRows(const runtime::Signature& signature, int64_t rows)
    : rows_(static_cast<size_t>(rows)) {
  memory_.resize(signature.inputs.size());
  inputs_.resize(signature.inputs.size());
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const runtime::TensorSpec& spec = signature.inputs[i];
    inputs_[i].shape = spec.shape;
    for (size_t axis = 0; axis < spec.shape.rank(); ++axis) {
      if (spec.shape[axis] == kDynamic) inputs_[i].shape[axis] = axis == 0 ? rows : 1;
    }
    int64_t elements = 0;
    if (!inputs_[i].shape.element_count(&elements)) elements = 0;
    // An empty string in wire form is a length word of zero.
    const size_t element_bytes = spec.dtype == DType::kBytes ? 4 : dtype_size(spec.dtype);
    const size_t bytes = static_cast<size_t>(elements) * element_bytes;
    if (bytes > 0) std::memset(memory_[i].extend(bytes), 0, bytes);
    inputs_[i].data = memory_[i].bytes();
  }
  joined_.resize(inputs_.size());
}

void SyntheticRows::join_rows() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const ByteSpan all = memory_[i].bytes();
    const size_t row_bytes = all.size() / rows_;
    pieces_.clear();
    for (size_t row = 0; row < rows_; ++row)
      pieces_.push_back(all.subspan(row * row_bytes, row_bytes));
    batch::gather(pieces_, &joined_[i]);
    inputs_[i].data = joined_[i].bytes();
  }
}

}  // namespace fastserve::engine
