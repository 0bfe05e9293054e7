// Nanoseconds per message of the codec: ModelInferRequest in, ModelInferResponse out.
//
// Each line is the best of several rounds: on a shared machine the others measure the neighbours.
// `codec_bench count` runs each for callgrind instead (count.h).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "count.h"
#include "fastserve/base/clock.h"
#include "fastserve/wire/infer_request.h"
#include "fastserve/wire/infer_response.h"
#include "fastserve/wire/protobuf_writer.h"

namespace fastserve::wire {
namespace {

constexpr int kRounds = 30;
constexpr int kPerRound = 20'000;
constexpr int kCounted = 1'000;

bool g_is_counting = false;

std::string field(uint32_t number, std::string_view payload) {
  std::string out(length_field_size(payload.size()), '\0');
  ProtobufWriter({reinterpret_cast<std::byte*>(out.data()), out.size()})
      .bytes_field(number, as_bytes(payload));
  return out;
}

std::string input(std::string_view name, std::string_view dtype, std::string_view shape) {
  return field(1, name) + field(2, dtype) + field(3, shape);
}

// mlp: 30 float32 in one row.
std::string raw_request() {
  return field(1, "mlp") + field(5, input("x", "FP32", "\x01\x1e")) +
         field(7, std::string(120, '\x3f'));
}

std::string tritonclient_request() {
  return field(1, "breast_cancer") + field(3, "7d1f0a52-31") +
         field(5, input("input_1", "FP32", "\x01\x1e")) + field(6, field(1, "probabilities")) +
         field(6, field(1, "label")) + field(7, std::string(120, '\x3f'));
}

std::string typed_request() {
  return field(1, "mlp") +
         field(5, input("x", "FP32", "\x01\x1e") + field(5, field(6, std::string(120, '\x3f'))));
}

std::string typed_int64_request() {
  std::string values;
  for (int i = 0; i < 128; ++i) values += "\xb9\x60";  // token ids of two bytes
  return field(1, "bert") +
         field(5, input("ids", "INT64", "\x01\x80\x01") + field(5, field(3, values)));
}

std::string parameters_request() {
  const std::string timeout = field(1, "timeout") + field(2, "\x10\x90\x4e");
  const std::string priority = field(1, "priority") + field(2, "\x28\x02");
  return field(1, "mlp") + field(4, timeout) + field(4, priority) +
         field(5, input("x", "FP32", "\x01\x1e")) + field(7, std::string(120, '\x3f'));
}

template <typename Body>
void measure(const char* name, size_t message_bytes, Body body) {
  if (g_is_counting) return count(name, kCounted, body);
  Nanos best = kNever;
  for (int round = 0; round < kRounds; ++round) {
    const Nanos start = monotonic_now();
    for (int i = 0; i < kPerRound; ++i) body();
    best = std::min(best, monotonic_now() - start);
  }
  std::printf("%-42s %5zu bytes %8.1f ns\n", name, message_bytes,
              static_cast<double>(best) / kPerRound);
}

// The compiler must not see that nobody reads the result.
template <typename T>
void keep(T* value) {
  asm volatile("" : : "r"(value) : "memory");
}

void bench_parse(const char* name, const std::string& message) {
  InferRequestView view;
  const RequestLimits limits;
  measure(name, message.size(), [&] {
    const Status status = parse_infer_request(as_bytes(message), limits, &view);
    if (!status.ok()) std::abort();
    keep(&view);
  });
}

void bench_contents(const char* name, const std::string& message) {
  InferRequestView view;
  std::vector<std::byte> out(8192);
  const RequestLimits limits;
  measure(name, message.size(), [&] {
    ContentsKind kind;
    int64_t elements;
    size_t size;
    if (!parse_infer_request(as_bytes(message), limits, &view).ok()) std::abort();
    if (!count_contents(view, view.inputs[0], &kind, &elements, &size).ok()) std::abort();
    if (!copy_contents(view, view.inputs[0], MutableByteSpan(out).first(size)).ok()) std::abort();
    keep(out.data());
  });
}

void bench_response(const char* name, bool typed) {
  const std::string data(8, '\x3f');
  const OutputTensor outputs[] = {
      {.name = "y", .dtype = DType::kFp32, .shape = {1, 2}, .data = as_bytes(data)}};
  const InferResponse response = {.model_name = "mlp",
                                  .model_version = "1",
                                  .id = {},
                                  .parameters = {},
                                  .outputs = outputs,
                                  .typed = typed};
  std::vector<std::byte> out(4096);
  measure(name, infer_response_size(response), [&] {
    const size_t size = infer_response_size(response);
    write_infer_response(response, MutableByteSpan(out).first(size));
    keep(out.data());
  });
}

}  // namespace
}  // namespace fastserve::wire

int main(int argc, char** argv) {
  using namespace fastserve::wire;
  g_is_counting = fastserve::is_counting(argc, argv);
  bench_parse("parse: raw, 30 float32", raw_request());
  bench_parse("parse: raw, id and two outputs", tritonclient_request());
  bench_parse("parse: raw, two parameters", parameters_request());
  bench_parse("parse: typed, 30 float32", typed_request());
  bench_contents("parse, count, copy: typed, 30 float32", typed_request());
  bench_contents("parse, count, copy: typed, 128 int64", typed_int64_request());
  bench_response("write: raw, 2 float32", false);
  bench_response("write: typed, 2 float32", true);
  return 0;
}
