// ModelInferRequest from any bytes: nothing is read or written out of bounds, and what
// count_contents promises is what copy_contents needs.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "fastserve/wire/infer_request.h"

namespace {

using namespace fastserve;

// Reads every byte of a view, so that the sanitizer sees one that points elsewhere.
void touch(std::string_view view) {
  unsigned sum = 0;
  for (char c : view) sum += static_cast<unsigned char>(c);
  asm volatile("" : : "r"(sum));
}

void touch_parameters(const wire::InferRequestView& view, wire::ParameterRange run) {
  for (uint32_t i = run.begin; i < run.begin + run.count; ++i) {
    const wire::Parameter& parameter = view.parameters_pool.at(i);
    touch(parameter.key);
    if (parameter.kind == wire::Parameter::Kind::kString) touch(parameter.as_string);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static wire::InferRequestView view;
  const wire::RequestLimits limits;
  const ByteSpan message(reinterpret_cast<const std::byte*>(data), size);
  if (!wire::parse_infer_request(message, limits, &view).ok()) return 0;
  touch(view.model_name);
  touch(view.model_version);
  touch(view.id);
  touch_parameters(view, view.parameters);
  for (ByteSpan raw : view.raw_inputs) {
    touch(as_text(raw));
    (void)wire::check_bytes_tensor(raw, static_cast<int64_t>(size) - 8, "raw");
  }
  for (const wire::OutputView& output : view.outputs) {
    touch(output.name);
    touch_parameters(view, output.parameters);
  }
  for (const wire::InputView& input : view.inputs) {
    touch(input.name);
    touch(input.datatype);
    touch_parameters(view, input.parameters);
    int64_t count;
    (void)input.shape.element_count(&count);
    wire::ContentsKind kind;
    int64_t elements;
    size_t raw_bytes;
    if (!wire::count_contents(view, input, &kind, &elements, &raw_bytes).ok()) continue;
    std::vector<std::byte> out(raw_bytes);
    const Status copied = wire::copy_contents(view, input, out);
    // The bytes have not changed since they were counted.
    if (copied.code() == Code::kInternal) std::abort();
    if (copied.ok() && input.dtype == DType::kBytes &&
        !wire::check_bytes_tensor(out, elements, input.name).ok()) {
      std::abort();
    }
  }
  return 0;
}
