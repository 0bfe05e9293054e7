// One run of a version on the calling thread, outside of the queue: what the control plane asks of
// a model before it serves (golden answers, recorded requests).
#pragma once

#include <span>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/status.h"
#include "fastserve/engine/version.h"
#include "fastserve/runtime/session.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::engine {

struct OwnedTensor {
  bool present = false;  // false: an optional output that the graph left out
  DType dtype = DType::kInvalid;
  Shape shape;
  Buffer data;  // raw form, as TensorView::data
};

// `inputs` in the signature's order and in the shapes that clients use, raw; every output comes
// back. Teaches the cost curve when the version has a rows axis; counts nothing.
// Errors: kInvalidArgument, naming the input, in the words that a request gets; those of the run.
// Thread: control plane, any number at once.
Result<std::vector<OwnedTensor>> run_directly(Version& version,
                                              std::span<const runtime::RunInput> inputs);

}  // namespace fastserve::engine
