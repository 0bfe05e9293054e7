// What an ONNX file says before anybody loads it: its versions, and which of its tensors keep their
// data in other files.
//
// ONNX Runtime would open those files itself, by paths that the model names, so they are found here
// first, wherever in the file a tensor can hide (initializers, sparse ones, attributes, subgraphs,
// functions, training graphs). The bytes are not trusted: everything is bounded, and nothing of the
// file is copied but the names.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"

namespace fastserve::runtime {

// A tensor with an entry in external_data, or marked as external without one.
struct ExternalTensor {
  std::string name;  // at most its first 200 bytes
  // An initializer of the main graph: the only place for which ONNX Runtime takes data from memory.
  bool is_initializer = false;
  // As written, UTF-8: "location", "offset", "length", "checksum" or anything else.
  std::vector<std::pair<std::string, std::string>> entries;
};

struct OnnxFacts {
  int64_t ir_version = 0;
  // (domain, version) as imported; "" is ONNX's own domain.
  std::vector<std::pair<std::string, int64_t>> opsets;
  // Of all graphs and functions.
  uint64_t node_count = 0;
  std::vector<ExternalTensor> external;
};

// One pass over the file that steps over tensors' data: a graph of large tensors costs as good as
// nothing, 100 MB of tree nodes about 0.1 s.
//
// kDataLoss when the file is not protobuf where it was looked at, nests deeper than people's graphs
// do, or names more external data than any model has; kUnimplemented for ONNX Runtime's own format.
Result<OnnxFacts> read_onnx_facts(ByteSpan model);

}  // namespace fastserve::runtime
