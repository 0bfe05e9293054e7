// The program that a fuzz target's input is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fastserve::fuzz {

// Read from the front; what is not there any more is 0.
class Steps {
 public:
  Steps(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  uint8_t next() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::string_view bytes(size_t size) {
    size = std::min(size, left_);
    const std::string_view taken(reinterpret_cast<const char*>(data_), size);
    data_ += size;
    left_ -= size;
    return taken;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

}  // namespace fastserve::fuzz
