#include "fastserve/grpc/percent_encoding.h"

#include <cstdint>

namespace fastserve::grpc {
namespace {

bool is_plain(uint8_t byte) { return byte >= 0x20 && byte <= 0x7e && byte != '%'; }
bool is_continuation(uint8_t byte) { return (byte & 0xc0) == 0x80; }

}  // namespace

std::string percent_encode(std::string_view message, size_t max_bytes) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  size_t whole = 0;  // length of `encoded` at the last character boundary
  for (const char character : message) {
    const auto byte = static_cast<uint8_t>(character);
    if (!is_continuation(byte)) whole = encoded.size();
    if (encoded.size() + (is_plain(byte) ? 1 : 3) > max_bytes) {
      encoded.resize(whole);
      return encoded;
    }
    if (is_plain(byte)) {
      encoded += character;
    } else {
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 0xf];
    }
  }
  return encoded;
}

}  // namespace fastserve::grpc
