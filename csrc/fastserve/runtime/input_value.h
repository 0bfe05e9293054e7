// One input of a runner: turns a request's bytes into a tensor value, reusing values where it can.
//
// Making a value costs about 90 ns and two allocations, against 3 us for a run of a small model. A
// value only points at memory, so it can be kept for the next time the same address comes with the
// same shape (a batch's gather buffer). Inputs of up to kStagedBytes are copied to a fixed place
// instead, which makes every shape a hit wherever the request lies, and is cheaper than a value.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "fastserve/base/status.h"
#include "fastserve/runtime/ort_handle.h"
#include "fastserve/runtime/ort_library.h"
#include "fastserve/runtime/signature.h"

namespace fastserve::runtime {

class InputValue {
 public:
  InputValue(const OrtLibrary& library, const TensorSpec& spec);

  // The value for `input`, valid until the next call. The data is read during the run only, at the
  // caller's address or at a copy. Errors: kInvalidArgument when bytes and shape do not agree.
  Status prepare(const RunInput& input, OrtValue** value);

  // Where the prepared value's bytes lie (empty for BYTES): an output found there is an alias.
  ByteSpan prepared_bytes() const { return prepared_; }

 private:
  // 2^n; entries are found by the number of rows, so batches of 1..8 rows do not evict one another.
  static constexpr size_t kEntries = 8;
  static constexpr size_t kStagedBytes = 4096;

  struct Entry {
    const std::byte* data = nullptr;
    Shape shape;
    OrtHandle<OrtValue> value;
  };

  Status prepare_strings(const RunInput& input, size_t elements, OrtValue** value);

  const OrtLibrary& library_;
  const std::string name_;
  const DType dtype_;
  const int element_;
  const size_t element_bytes_;
  std::array<Entry, kEntries> entries_;
  std::unique_ptr<std::byte[]> staged_;
  ByteSpan prepared_;
};

}  // namespace fastserve::runtime
