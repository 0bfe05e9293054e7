// Writes protobuf's wire format into memory whose size was computed before.
//
// The caller holds the invariant: the buffer has room for everything written. The size functions
// below give, byte for byte, what the write functions use.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "fastserve/base/bytes.h"

namespace fastserve::wire {

// Bytes of `value` as a varint: one for each 7 bits begun.
inline size_t varint_size(uint64_t value) {
  const auto bits = static_cast<size_t>(std::bit_width(value | 1));
  return (bits * 9 + 64) / 64;
}

// Bytes of a length-delimited field with a tag of one byte (field numbers 1 to 15).
inline size_t length_field_size(size_t length) { return 1 + varint_size(length) + length; }

class ProtobufWriter {
 public:
  explicit ProtobufWriter(MutableByteSpan out) : at_(reinterpret_cast<uint8_t*>(out.data())) {}

  void varint(uint64_t value) {
    while (value >= 0x80) {
      *at_++ = static_cast<uint8_t>(value | 0x80);
      value >>= 7;
    }
    *at_++ = static_cast<uint8_t>(value);
  }

  // A tag of one byte: field numbers 1 to 15.
  void tag(uint32_t field, uint8_t wire_type) {
    *at_++ = static_cast<uint8_t>(field << 3 | wire_type);
  }

  // Tag and length; the caller writes `length` bytes next.
  void length_prefix(uint32_t field, size_t length) {
    tag(field, 2);
    varint(length);
  }

  void bytes(const void* data, size_t size) {
    if (size != 0) std::memcpy(at_, data, size);
    at_ += size;
  }

  void bytes_field(uint32_t field, ByteSpan value) {
    length_prefix(field, value.size());
    bytes(value.data(), value.size());
  }

  // proto3 omits a singular field that holds its default.
  void string_field_if_set(uint32_t field, std::string_view value) {
    if (!value.empty()) bytes_field(field, as_bytes(value));
  }

 private:
  uint8_t* at_;
};

}  // namespace fastserve::wire
