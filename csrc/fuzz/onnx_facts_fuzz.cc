// The reader that looks at an ONNX file before anybody else does: any bytes are read or refused,
// and what it found stays within its bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fastserve/runtime/onnx_facts.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fastserve;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Result<runtime::OnnxFacts> facts = runtime::read_onnx_facts(as_bytes(bytes));
  if (!facts.ok()) return facts.status().message().empty() ? std::abort(), 0 : 0;
  for (const runtime::ExternalTensor& tensor : facts->external) {
    if (tensor.name.size() > 200 || tensor.entries.size() > 64) std::abort();
    for (const auto& [key, value] : tensor.entries) {
      if (key.size() + value.size() > size) std::abort();
    }
  }
  return 0;
}
