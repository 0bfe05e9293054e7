// One output of a runner: gives ONNX Runtime memory to write to where the shape is known
// beforehand, and reads what came out.
//
// The prediction. An output of fixed dimensions, or whose first axis alone is dynamic and is the
// rows axis by its symbol (or has no symbol), is expected to have as many rows as the input that it
// follows. For each number of rows the first run lets ONNX Runtime allocate; when the shape came
// out as predicted, later runs of that many rows get our memory. That saves a value, an allocation
// and five calls per output: 3.8 -> 3.4 us for one row of a small mlp
// (csrc/bench/runtime_bench.cc). A shape that came out otherwise ends the practice for this output.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "fastserve/base/buffer.h"
#include "fastserve/base/status.h"
#include "fastserve/runtime/input_value.h"
#include "fastserve/runtime/ort_handle.h"
#include "fastserve/runtime/ort_library.h"
#include "fastserve/runtime/signature.h"
#include "fastserve/runtime/string_tensor.h"

namespace fastserve::runtime {

class OutputValue {
 public:
  OutputValue(const OrtLibrary& library, const Signature& signature, size_t index);

  // Before a run: the value to write to, or null for ONNX Runtime to allocate. Drops what the last
  // run gave. `inputs` in the signature's order.
  OrtValue* prepare(std::span<const RunInput> inputs);
  // ONNX Runtime refused a shape: never predict again.
  void stop_predicting();
  // After a run that left `value` there (as given by prepare(), or allocated; takes the latter).
  Status read(OrtValue* value, std::span<const InputValue> inputs, RunOutput* output);

 private:
  // By number of rows modulo this; more than the usual max_rows, so that none evicts another.
  static constexpr size_t kEntries = 128;
  // Larger outputs are left to ONNX Runtime: the memory here is kept, per runner.
  static constexpr size_t kMaxOwnBytes = size_t{1} << 20;

  struct Entry {
    int64_t rows = -1;
    OrtHandle<OrtValue> value;
  };

  bool predict(int64_t rows, Shape* shape, size_t* bytes) const;
  void remember(int64_t rows, const Shape& shape, size_t bytes);
  Status read_shape(const OrtValue* value, Shape* shape) const;
  Status failed(OrtStatus* error) const;

  const OrtLibrary& library_;
  const TensorSpec spec_;
  const int element_;
  // The input whose first axis this output's follows; -1: the shape is fixed.
  int rows_input_ = -1;
  bool is_predictable_ = false;

  int64_t rows_ = 0;               // of the run in progress
  OrtValue* given_ = nullptr;      // our value for it, if any
  OrtHandle<OrtValue> allocated_;  // ONNX Runtime's value of the last run
  std::unique_ptr<std::array<Entry, kEntries>> entries_;
  std::unique_ptr<std::byte[]> memory_;  // all entries share it: one run at a time
  size_t memory_bytes_ = 0;
  Buffer copy_;
  StringTensorReader strings_;
};

}  // namespace fastserve::runtime
