// Tensors that clients see in another shape than the graph: Triton's `reshape`.
//
// The elements and their order are the same on both sides, only the dimensions are told otherwise.
// Variable dimensions correspond in their order, and between two of them both shapes have the same
// number of elements, as [2,4,-1,6] and [8,-1,1,6] do. So a shape of one side says the shape of
// the other, and data is never moved.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/runtime/session.h"
#include "fastserve/runtime/signature.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::engine {

// Both shapes without the rows axis, where the version has one: it is first on either side.
struct TensorReshape {
  bool is_input = true;
  std::string name;
  Shape wire;   // what clients send or get
  Shape graph;  // what the graph takes or gives; may fix what the file leaves open
};

// Those of one version. Thread: any.
class Reshapes {
 public:
  // Null when there are none. Errors: kInvalidArgument, naming the tensor and both shapes.
  static Result<std::unique_ptr<const Reshapes>> make(const runtime::Signature& signature,
                                                      bool has_rows_axis,
                                                      std::span<const TensorReshape> reshapes);

  // The signature as clients see it, and as the graph is run.
  const runtime::Signature& wire() const { return wire_; }
  const runtime::Signature& graph() const { return graph_; }

  // `shape` fits wire().inputs[index].
  void to_graph(size_t index, Shape* shape) const;
  // What a run gave, as clients get it. Errors: kInternal when an output has another shape than its
  // reshape says.
  Status to_wire(std::span<runtime::RunOutput> outputs) const;

 private:
  Status add(const TensorReshape& reshape, bool has_rows_axis);

  runtime::Signature wire_;
  runtime::Signature graph_;
  std::vector<bool> is_reshaped_input_;
  std::vector<bool> is_reshaped_output_;
};

}  // namespace fastserve::engine
