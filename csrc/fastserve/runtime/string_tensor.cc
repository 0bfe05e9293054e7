#include "fastserve/runtime/string_tensor.h"

#include <cstdint>
#include <cstring>
#include <string>

#include "fastserve/runtime/ort_error.h"

namespace fastserve::runtime {
namespace {

constexpr size_t kLengthBytes = 4;

Status malformed(std::string_view input_name, const std::string& what) {
  return invalid_argument("BYTES data of input '" + std::string(input_name) + "' " + what);
}

}  // namespace

Status fill_string_tensor(const OrtApi& api, std::string_view input_name, ByteSpan wire,
                          size_t elements, OrtValue* tensor) {
  size_t offset = 0;
  for (size_t i = 0; i < elements; ++i) {
    uint32_t length = 0;
    if (wire.size() - offset < kLengthBytes) {
      return malformed(input_name, "ends before element " + std::to_string(i) + " of " +
                                       std::to_string(elements));
    }
    std::memcpy(&length, wire.data() + offset, kLengthBytes);
    offset += kLengthBytes;
    if (length > wire.size() - offset) {
      return malformed(input_name, "has a length of " + std::to_string(length) + " in element " +
                                       std::to_string(i) + ", got " +
                                       std::to_string(wire.size() - offset) + " bytes");
    }
    char* to = nullptr;
    if (OrtStatus* error = api.GetResizedStringTensorElementBuffer(tensor, i, length, &to)) {
      return take_error(api, error, Code::kInternal, "cannot make a string tensor");
    }
    if (length > 0) std::memcpy(to, wire.data() + offset, length);
    offset += length;
  }
  if (offset != wire.size()) {
    return malformed(input_name, "has " + std::to_string(wire.size() - offset) +
                                     " bytes behind its last element");
  }
  return {};
}

Status StringTensorReader::read(const OrtApi& api, const OrtValue* tensor, size_t elements,
                                ByteSpan* wire) {
  wire_.clear();
  *wire = {};
  if (elements == 0) return {};
  size_t total = 0;
  if (OrtStatus* error = api.GetStringTensorDataLength(tensor, &total)) {
    return take_error(api, error, Code::kInternal, "cannot read a string tensor");
  }
  offsets_.resize(elements + 1);
  content_.resize(total + 1);  // never empty: its data() must not be null
  if (OrtStatus* error =
          api.GetStringTensorContent(tensor, content_.data(), total, offsets_.data(), elements)) {
    return take_error(api, error, Code::kInternal, "cannot read a string tensor");
  }
  offsets_[elements] = total;
  std::byte* to = wire_.extend(total + elements * kLengthBytes);
  for (size_t i = 0; i < elements; ++i) {
    size_t bytes = offsets_[i + 1] - offsets_[i];
    if (bytes > UINT32_MAX) return {Code::kInternal, "a string of 4 GiB or more has no wire form"};
    auto length = static_cast<uint32_t>(bytes);
    std::memcpy(to, &length, kLengthBytes);
    std::memcpy(to + kLengthBytes, content_.data() + offsets_[i], bytes);
    to += kLengthBytes + bytes;
  }
  *wire = wire_.bytes();
  return {};
}

}  // namespace fastserve::runtime
