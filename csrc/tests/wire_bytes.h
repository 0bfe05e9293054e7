// Protobuf messages written by hand, for tests that must say what the bytes are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fastserve::wire {

inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

inline std::string tag(uint32_t field, int wire_type) {
  return varint(uint64_t{field} << 3 | static_cast<uint64_t>(wire_type));
}

inline std::string block(uint32_t field, std::string_view payload) {
  return tag(field, 2) + varint(payload.size()) + std::string(payload);
}

inline std::string number(uint32_t field, uint64_t value) { return tag(field, 0) + varint(value); }

// Text with bytes that are not characters, NUL included.
template <size_t kSize>
std::string raw(const char (&text)[kSize]) {
  return std::string(text, kSize - 1);
}

inline std::string repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace fastserve::wire
