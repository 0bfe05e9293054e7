// BYTES in wire form (4-byte little-endian length, bytes, ...) to and from ONNX Runtime's string
// tensors. Strings may hold any bytes, NULs included.
#pragma once

#include <string_view>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"
#include "fastserve/runtime/ort_api.h"

namespace fastserve::runtime {

// Writes `elements` strings into `tensor`, which has that many. kInvalidArgument, naming the input,
// when `wire` does not hold exactly that many.
Status fill_string_tensor(const OrtApi& api, std::string_view input_name, ByteSpan wire,
                          size_t elements, OrtValue* tensor);

// Reads string tensors; keeps its memory between reads.
class StringTensorReader {
 public:
  // The wire form of `tensor`'s `elements` strings; valid until the next read.
  Status read(const OrtApi& api, const OrtValue* tensor, size_t elements, ByteSpan* wire);

 private:
  std::vector<size_t> offsets_;
  std::vector<char> content_;
  Buffer wire_;
};

}  // namespace fastserve::runtime
