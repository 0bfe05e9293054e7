// Writes a ModelInferResponse into a buffer that the caller owns.
//
// Two passes: infer_response_size() then write_infer_response() into exactly that many bytes, so
// that the caller can place the message where it will be sent from.
#pragma once

#include <span>
#include <string_view>

#include "fastserve/base/bytes.h"
#include "fastserve/tensor/dtype.h"
#include "fastserve/tensor/shape.h"
#include "fastserve/tensor/tensor_view.h"
#include "fastserve/wire/parameter.h"

namespace fastserve::wire {

using OutputTensor = TensorView;

struct InferResponse {
  std::string_view model_name;
  std::string_view model_version;
  std::string_view id;
  // Written in this order. Keys are distinct.
  std::span<const Parameter> parameters;
  std::span<const OutputTensor> outputs;
  // Data in typed `contents` instead of raw_output_contents. FP16 and BF16 have no typed field: if
  // any output has such a dtype, the whole reply is raw.
  bool typed = false;
};

size_t infer_response_size(const InferResponse& response);
// out.size() == infer_response_size(response). Byte-identical to google.protobuf's serialisation.
void write_infer_response(const InferResponse& response, MutableByteSpan out);

}  // namespace fastserve::wire
