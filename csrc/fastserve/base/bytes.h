// Views of bytes that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace fastserve {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// Elements of `element_bytes` (0: bytes without a size of their own) may be read in place.
inline bool is_aligned(ByteSpan data, size_t element_bytes) {
  return element_bytes <= 1 || reinterpret_cast<uintptr_t>(data.data()) % element_bytes == 0;
}
// The value at `at`, of whatever alignment.
template <typename Value>
Value load(const std::byte* at) {
  Value value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
// The same; steps behind it.
template <typename Value>
Value take(const std::byte** at) {
  const auto value = load<Value>(*at);
  *at += sizeof value;
  return value;
}

}  // namespace fastserve
