// What is told of a batch that ran, after its answers were computed: its rows, as they went in and
// as they came out, and which requests they belong to.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::engine {

// A request of the batch that somebody wants to know apart from its rows: it has an id, or it was
// chosen for capture.
struct ObservedRequest {
  uint32_t first_row = 0;  // within the batch
  uint32_t rows = 1;
  bool is_captured = false;
  Nanos arrival = 0;
  std::string_view id;
};

// One tensor of the whole batch, as the graph is run with it.
struct ObservedTensor {
  uint32_t index = 0;  // inputs in the signature's order, then outputs
  Shape shape;
  ByteSpan data;  // raw form, as TensorView::data; 8-byte aligned
};

// Views, valid during the call that gives them.
struct Observation {
  Nanos started = 0;
  Nanos gathered = 0;
  Nanos computed = 0;
  uint32_t rows = 0;
  // False: told for the sake of its captured requests; its rows are told elsewhere, or are not.
  bool is_sketched = true;
  // False: the outputs of the whole batch are told by themselves; these belong to the inputs that
  // are here, for those who look at both.
  bool are_outputs_sketched = true;
  // Only those that have something to be told of; often none.
  std::span<const ObservedRequest> requests;
  // Outputs that nobody asked for are missing, and so are tensors that are too large to be told
  // each time.
  std::span<const ObservedTensor> tensors;
};

// Who listens to one version's batches.
class ObservationSink {
 public:
  virtual ~ObservationSink() = default;

  // Whether a request is to be told of with is_captured. Thread: any serving thread; must not wait.
  virtual bool is_chosen(std::string_view id) = 0;
  // `rows` of which `captured` requests were chosen were not passed on: no room.
  // Thread: any serving thread; must not wait.
  virtual void skip(uint32_t rows, uint32_t captured) = 0;
  // Thread: one at a time, never a serving thread.
  virtual void observe(const Observation& observation) = 0;
};

}  // namespace fastserve::engine
