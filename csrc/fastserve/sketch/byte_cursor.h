// Little-endian fields in and out of bytes. Reading past the end is remembered and gives zeros: a
// parser reads a group of fields and asks once.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "fastserve/base/bytes.h"

namespace fastserve::sketch {

class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  template <typename T>
  T read() {
    static_assert(std::is_arithmetic_v<T>);
    T value = {};
    const ByteSpan raw = take(sizeof(T));
    if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  // The next `size` bytes; empty when there are fewer.
  ByteSpan take(size_t size) {
    if (size > left()) {
      is_short_ = true;
      return {};
    }
    at_ += size;
    return bytes_.subspan(at_ - size, size);
  }
  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  // False once more was read than there is.
  bool ok() const { return !is_short_; }

 private:
  ByteSpan bytes_;
  size_t at_ = 0;
  bool is_short_ = false;
};

template <typename T>
void append(std::string* out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

}  // namespace fastserve::sketch
