// Writes a ModelStreamInferResponse: one message of the answer to ModelStreamInfer.
//
// Two passes into a buffer of the caller's, as infer_response.h.
#pragma once

#include <string_view>

#include "fastserve/base/bytes.h"
#include "fastserve/wire/infer_response.h"

namespace fastserve::wire {

struct StreamResponse {
  // Empty when the request succeeded. A failed one leaves the stream open; `response` then holds
  // the request's id and nothing else, so that a client knows which one failed.
  std::string_view error_message;
  InferResponse response;
};

size_t stream_response_size(const StreamResponse& message);
// out.size() == stream_response_size(message). Byte-identical to google.protobuf's serialisation;
// infer_response is always present.
void write_stream_response(const StreamResponse& message, MutableByteSpan out);

}  // namespace fastserve::wire
