#include "fastserve/front/infer_reply.h"

#include "fastserve/wire/infer_response.h"
#include "fastserve/wire/stream_response.h"

namespace fastserve::front {
namespace {

// Triton marks every answer of a stream so, since its models give one answer per request.
wire::Parameter final_response() {
  wire::Parameter parameter;
  parameter.key = "triton_final_response";
  parameter.kind = wire::Parameter::Kind::kBool;
  parameter.as_bool = true;
  return parameter;
}

}  // namespace

void encode_reply(std::span<const TensorView> outputs, InferCall* infer) {
  wire::StreamResponse message;
  wire::InferResponse& response = message.response;
  response.model_name = infer->version->config().model;
  response.model_version = infer->version->number_text();
  response.id = infer->id;
  response.outputs = outputs;
  response.typed = infer->is_typed;
  Buffer& reply = infer->reply;
  reply.clear();
  if (!infer->is_streamed) {
    const size_t size = wire::infer_response_size(response);
    std::byte* out = reply.extend(grpc::kMessageHeadroom + size) + grpc::kMessageHeadroom;
    wire::write_infer_response(response, {out, size});
    return;
  }
  const wire::Parameter parameter = final_response();
  response.parameters = {&parameter, 1};
  const size_t size = wire::stream_response_size(message);
  std::byte* out = reply.extend(grpc::kMessageHeadroom + size) + grpc::kMessageHeadroom;
  wire::write_stream_response(message, {out, size});
}

Buffer encode_stream_error(const Status& status, std::string_view id) {
  wire::StreamResponse message;
  message.error_message = status.message();
  message.response.id = id;
  const size_t size = wire::stream_response_size(message);
  Buffer reply;
  std::byte* out = reply.extend(grpc::kMessageHeadroom + size) + grpc::kMessageHeadroom;
  wire::write_stream_response(message, {out, size});
  return reply;
}

}  // namespace fastserve::front
