// BYTES tensors in raw form; declared in infer_request.h.
#include <cstring>
#include <string>

#include "fastserve/wire/infer_request.h"
#include "fastserve/wire/quoted.h"

namespace fastserve::wire {

Status check_bytes_tensor(ByteSpan raw, int64_t elements, std::string_view input_name) {
  size_t at = 0;
  // Ends with the bytes, however many elements the shape claims.
  for (int64_t i = 0; i < elements; ++i) {
    const auto element = [&] {
      return "input " + quoted(input_name) + ": BYTES element " + std::to_string(i) + " of " +
             std::to_string(elements);
    };
    const size_t left = raw.size() - at;
    uint32_t length;
    if (left < sizeof(length)) {
      return invalid_argument(element() + " needs a 4-byte length, got " + std::to_string(left) +
                              " bytes; each element is its length (little-endian), then its bytes");
    }
    std::memcpy(&length, raw.data() + at, sizeof(length));
    if (length > left - sizeof(length)) {
      return invalid_argument(element() + " says it has " + std::to_string(length) +
                              " bytes, but only " + std::to_string(left - sizeof(length)) +
                              " are left");
    }
    at += sizeof(length) + length;
  }
  if (at != raw.size()) {
    return invalid_argument("input " + quoted(input_name) + ": " + std::to_string(raw.size() - at) +
                            " bytes are left over after the " + std::to_string(elements) +
                            " BYTES elements of its shape");
  }
  return ok_status();
}

}  // namespace fastserve::wire
