// What a model takes and gives: names, element types and dimensions as the graph declares them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"

namespace fastserve::runtime {

struct TensorSpec {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;                       // kDynamic where the request chooses
  std::vector<std::string> symbols;  // one per axis; empty for a fixed or unnamed axis
  // Outputs: may be absent from an answer. Inputs: must be given all the same, since the protocol
  // has no absent input.
  bool is_optional = false;
};

struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

// What the ONNX file says about itself.
struct ModelMetadata {
  std::string producer;
  std::string graph_name;
  std::string domain;
  std::string description;
  int64_t version = 0;
  std::vector<std::pair<std::string, std::string>> custom;
};

}  // namespace fastserve::runtime
