#include "fastserve/wire/stream_response.h"

#include "fastserve/wire/protobuf_writer.h"

namespace fastserve::wire {
namespace {

constexpr uint32_t kErrorMessage = 1;
constexpr uint32_t kInferResponse = 2;

}  // namespace

size_t stream_response_size(const StreamResponse& message) {
  const size_t error_size =
      message.error_message.empty() ? 0 : length_field_size(message.error_message.size());
  return error_size + length_field_size(infer_response_size(message.response));
}

void write_stream_response(const StreamResponse& message, MutableByteSpan out) {
  const size_t response_size = infer_response_size(message.response);
  ProtobufWriter writer(out);
  writer.string_field_if_set(kErrorMessage, message.error_message);
  writer.length_prefix(kInferResponse, response_size);
  write_infer_response(message.response, out.last(response_size));
}

}  // namespace fastserve::wire
