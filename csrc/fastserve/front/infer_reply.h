// From an engine's answer to the bytes of a ModelInferResponse.
#pragma once

#include <span>
#include <string_view>

#include "fastserve/base/buffer.h"
#include "fastserve/base/status.h"
#include "fastserve/front/infer_call.h"
#include "fastserve/tensor/tensor_view.h"

namespace fastserve::front {

// Writes the answer into infer->reply, framed: grpc::kMessageHeadroom bytes, then the message; a
// ModelStreamInferResponse around it when the call belongs to a stream.
// Thread: any; infer->version and infer->message are alive.
void encode_reply(std::span<const TensorView> outputs, InferCall* infer);

// A ModelStreamInferResponse that carries `status` as its error_message and the request's id.
Buffer encode_stream_error(const Status& status, std::string_view id);

}  // namespace fastserve::front
