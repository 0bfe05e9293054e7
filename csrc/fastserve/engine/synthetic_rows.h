// Inputs made up from a signature, for warming a model up when nobody gave real ones.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/runtime/session.h"
#include "fastserve/runtime/signature.h"

namespace fastserve::engine {

// `rows` rows on every dynamic first axis, 1 on every other dynamic axis; numbers are 0, strings
// are empty: values that any embedding, index or date model accepts.
class SyntheticRows {
 public:
  SyntheticRows(const runtime::Signature& signature, int64_t rows);
  std::span<const runtime::RunInput> inputs() const { return inputs_; }
  // Gathers every input anew from its single rows, as a batch of one-row requests is.
  void join_rows();

 private:
  const size_t rows_;
  std::vector<Buffer> memory_;
  std::vector<Buffer> joined_;
  std::vector<ByteSpan> pieces_;
  std::vector<runtime::RunInput> inputs_;
};

}  // namespace fastserve::engine
