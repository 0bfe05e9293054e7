// Reads protobuf's wire format from bytes in memory, without copying and without allocating.
//
// Accepts and refuses what google.protobuf (upb) accepts and refuses: a tag takes at most 5 bytes
// and fits 32 bits; a varint takes at most 10 bytes, bits beyond the 64th are dropped; field number
// 0 and wire types 6 and 7 are malformed; groups are skipped, nested at most kMaxNesting deep.
// Where its versions differ, the stricter reading is taken, which no encoder can notice: a length
// takes at most 5 bytes (Python protobuf 7; 6 takes 10), and field number 0 is malformed inside
// unknown groups too (6; 7 takes it).
// Source: https://protobuf.dev/programming-guides/encoding/, and upb where that page is silent.
//
// Every read_* and skip_* returns false at the first malformed byte; error() then says why, and the
// reader must not be used further. Outputs are unspecified after false.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "fastserve/base/bytes.h"

namespace fastserve::wire {

// Submessages and groups within one another, the outermost message not counted.
inline constexpr int kMaxNesting = 100;

enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kLength = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

enum class WireError : uint8_t {
  kNone,
  kTruncated,
  kVarintTooLong,
  kBadTag,
  kBadTagInGroup,
  kBadWireType,
  kBadLength,
  kLengthTooLong,
  kUnmatchedEndGroup,
  kTooDeep,
  kBadUtf8,
};

inline const char* wire_error_text(WireError error) {
  switch (error) {
    case WireError::kNone:
      return "no error";
    case WireError::kTruncated:
      return "the bytes end inside a field";
    case WireError::kVarintTooLong:
      return "a varint is longer than 10 bytes";
    case WireError::kBadTag:
      return "a field number is 0 or too large";
    case WireError::kBadTagInGroup:
      return "a field number inside a group is 0 or too large";
    case WireError::kBadWireType:
      return "a field has a wire type that does not exist (6 or 7)";
    case WireError::kBadLength:
      return "a length is larger than what is left of its message";
    case WireError::kLengthTooLong:
      return "a length is written in more than 5 bytes";
    case WireError::kUnmatchedEndGroup:
      return "a group ends that did not begin, or does not end";
    case WireError::kTooDeep:
      return "messages are nested more than 100 deep";
    case WireError::kBadUtf8:
      return "a string is not valid UTF-8";
  }
  return "unknown error";
}

inline constexpr uint32_t make_tag(uint32_t field, WireType type) {
  return field << 3 | static_cast<uint32_t>(type);
}

class ProtobufReader {
 public:
  explicit ProtobufReader(ByteSpan bytes)
      : at_(reinterpret_cast<const uint8_t*>(bytes.data())), end_(at_ + bytes.size()) {}

  bool at_end() const { return at_ == end_; }
  const uint8_t* position() const { return at_; }
  WireError error() const { return error_; }

  // Only when !at_end(). The field number in *tag is at least 1; the wire type is unchecked.
  bool read_tag(uint32_t* tag) {
    uint64_t value = *at_;
    if (value < 0x80) [[likely]] {
      ++at_;
    } else if (!read_long_varint(kTagLimits, &value)) {
      return false;
    }
    *tag = static_cast<uint32_t>(value);
    if (value < make_tag(1, WireType::kVarint)) [[unlikely]] {
      return fail(WireError::kBadTag);
    }
    return true;
  }

  bool read_varint(uint64_t* value) {
    if (at_ == end_) [[unlikely]] {
      return fail(WireError::kTruncated);
    }
    const uint8_t first = *at_;
    if (first < 0x80) [[likely]] {
      ++at_;
      *value = first;
      return true;
    }
    if (end_ - at_ >= 2 && at_[1] < 0x80) {
      *value = (first & 0x7Fu) | static_cast<uint64_t>(at_[1]) << 7;
      at_ += 2;
      return true;
    }
    return read_long_varint(kVarintLimits, value);
  }

  // All that is left, as varints: visit(value) returns false to stop, and so does this then,
  // without an error.
  template <typename Visit>
  bool read_varints(Visit visit) {
    const uint8_t* at = at_;
    const uint8_t* const end = end_;
    while (at != end) {
      uint64_t value = *at;
      if (value < 0x80) [[likely]] {
        ++at;
      } else if (end - at >= 2 && at[1] < 0x80) {
        value += (uint64_t{at[1]} << 7) - 0x80;
        at += 2;
      } else {
        const LongVarint varint = decode_long_varint(at, end, kVarintLimits);
        if (varint.error != WireError::kNone) return fail(varint.error);
        value = varint.value;
        at = varint.end;
      }
      if (!visit(value)) return false;
    }
    at_ = end;
    return true;
  }

  // The bytes of a length-delimited field, whose tag has been read.
  bool read_bytes(ByteSpan* bytes) {
    if (at_ == end_) [[unlikely]] {
      return fail(WireError::kTruncated);
    }
    uint64_t length = *at_;
    if (length < 0x80) [[likely]] {
      ++at_;
    } else if (!read_long_varint(kLengthLimits, &length)) {
      return false;
    }
    if (length > static_cast<size_t>(end_ - at_)) [[unlikely]] {
      return fail(WireError::kBadLength);
    }
    *bytes = {reinterpret_cast<const std::byte*>(at_), static_cast<size_t>(length)};
    at_ += length;
    return true;
  }

  // As read_bytes, for a field that must hold UTF-8.
  bool read_string(std::string_view* text);

  template <typename T>
  bool read_fixed(T* value) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) [[unlikely]] {
      return fail(WireError::kTruncated);
    }
    std::memcpy(value, at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  // Skips the field whose tag has just been read. `nesting` is how many more levels may open here.
  bool skip_field(uint32_t tag, int nesting) {
    *this = skipped(*this, tag, nesting);
    return error_ == WireError::kNone;
  }

 private:
  struct VarintLimits {
    int max_bytes;
    uint64_t max_value;
    WireError too_long;
    WireError too_large;
  };
  static constexpr VarintLimits kTagLimits = {5, UINT32_MAX, WireError::kBadTag,
                                              WireError::kBadTag};
  static constexpr VarintLimits kLengthLimits = {5, INT32_MAX, WireError::kLengthTooLong,
                                                 WireError::kBadLength};
  static constexpr VarintLimits kVarintLimits = {10, UINT64_MAX, WireError::kVarintTooLong,
                                                 WireError::kVarintTooLong};

  bool fail(WireError error) {
    error_ = error;
    return false;
  }

  // Skips one field that is no group. Start and end of a group are left to skip_field.
  bool skip_scalar(uint32_t tag);
  struct LongVarint {
    const uint8_t* end;
    uint64_t value;
    WireError error;
  };
  // The slow ways are calls that never see this object's address, so that a caller's loop keeps it
  // in registers.
  static LongVarint decode_long_varint(const uint8_t* at, const uint8_t* end,
                                       const VarintLimits& limits);
  bool read_long_varint(const VarintLimits& limits, uint64_t* value);
  static ProtobufReader skipped(ProtobufReader reader, uint32_t tag, int nesting);
  bool skip_to_end_of(uint32_t tag, int nesting);

  const uint8_t* at_;
  const uint8_t* end_;
  WireError error_ = WireError::kNone;
};

// True for well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing
// above U+10FFFF.
[[gnu::noinline]] inline bool is_utf8_slow(const uint8_t* text, size_t size) {
  const auto is_tail = [](uint8_t byte) { return (byte & 0xC0) == 0x80; };
  size_t i = 0;
  while (i < size) {
    const uint8_t lead = text[i];
    const size_t left = size - i;
    if (lead < 0x80) {
      i += 1;
    } else if (lead < 0xC2) {
      return false;
    } else if (lead < 0xE0) {
      if (left < 2 || !is_tail(text[i + 1])) return false;
      i += 2;
    } else if (lead < 0xF0) {
      const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
      const uint8_t high = lead == 0xED ? 0x9F : 0xBF;
      if (left < 3 || text[i + 1] < low || text[i + 1] > high || !is_tail(text[i + 2])) {
        return false;
      }
      i += 3;
    } else if (lead < 0xF5) {
      const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
      const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
      if (left < 4 || text[i + 1] < low || text[i + 1] > high || !is_tail(text[i + 2]) ||
          !is_tail(text[i + 3])) {
        return false;
      }
      i += 4;
    } else {
      return false;
    }
  }
  return true;
}

inline bool is_utf8(std::string_view view) {
  const auto* text = reinterpret_cast<const uint8_t*>(view.data());
  const size_t size = view.size();
  // Names are short and ASCII: two loads that overlap cover every length below 16.
  uint64_t seen = 0;
  if (size >= 8) {
    uint64_t word;
    for (size_t i = 0; i + 8 < size; i += 8) {
      std::memcpy(&word, text + i, 8);
      seen |= word;
    }
    std::memcpy(&word, text + size - 8, 8);
    seen |= word;
  } else if (size >= 4) {
    uint32_t low, high;
    std::memcpy(&low, text, 4);
    std::memcpy(&high, text + size - 4, 4);
    seen = low | high;
  } else if (size > 0) {
    seen = text[0] | text[size / 2] | text[size - 1];
  }
  if ((seen & 0x8080808080808080u) == 0) [[likely]] {
    return true;
  }
  return is_utf8_slow(text, size);
}

inline bool ProtobufReader::read_string(std::string_view* text) {
  ByteSpan bytes;
  if (!read_bytes(&bytes)) return false;
  *text = as_text(bytes);
  return is_utf8(*text) || fail(WireError::kBadUtf8);
}

// The whole varint, from its first byte. Never reads past the end.
[[gnu::noinline]] inline ProtobufReader::LongVarint ProtobufReader::decode_long_varint(
    const uint8_t* at, const uint8_t* end, const VarintLimits& limits) {
  uint64_t result = 0;
  for (int i = 0; i < limits.max_bytes; ++i) {
    if (at == end) return {at, 0, WireError::kTruncated};
    const uint64_t byte = *at++;
    result |= (byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      return {at, result, result <= limits.max_value ? WireError::kNone : limits.too_large};
    }
  }
  return {at, 0, limits.too_long};
}

inline bool ProtobufReader::read_long_varint(const VarintLimits& limits, uint64_t* value) {
  const LongVarint varint = decode_long_varint(at_, end_, limits);
  at_ = varint.end;
  *value = varint.value;
  return varint.error == WireError::kNone || fail(varint.error);
}

inline bool ProtobufReader::skip_scalar(uint32_t tag) {
  switch (static_cast<WireType>(tag & 7)) {
    case WireType::kVarint: {
      uint64_t ignored;
      return read_varint(&ignored);
    }
    case WireType::kFixed64: {
      uint64_t ignored;
      return read_fixed(&ignored);
    }
    case WireType::kLength: {
      ByteSpan ignored;
      return read_bytes(&ignored);
    }
    case WireType::kFixed32: {
      uint32_t ignored;
      return read_fixed(&ignored);
    }
    default:
      return fail(WireError::kBadWireType);
  }
}

inline bool ProtobufReader::skip_to_end_of(uint32_t tag, int nesting) {
  // Field numbers of the groups that are open. A loop, not recursion: the bytes choose the depth.
  std::array<uint32_t, kMaxNesting> open;
  int depth = 0;
  while (true) {
    const auto type = static_cast<WireType>(tag & 7);
    if (type == WireType::kStartGroup) {
      if (depth >= nesting || depth >= kMaxNesting) return fail(WireError::kTooDeep);
      open[depth++] = tag >> 3;
    } else if (type == WireType::kEndGroup) {
      if (depth == 0 || open[--depth] != tag >> 3) return fail(WireError::kUnmatchedEndGroup);
    } else if (!skip_scalar(tag)) {
      return false;
    }
    if (depth == 0) return true;
    if (at_end()) return fail(WireError::kUnmatchedEndGroup);
    if (!read_tag(&tag)) {
      return fail(error_ == WireError::kBadTag ? WireError::kBadTagInGroup : error_);
    }
  }
}

[[gnu::noinline]] inline ProtobufReader ProtobufReader::skipped(ProtobufReader reader, uint32_t tag,
                                                                int nesting) {
  reader.skip_to_end_of(tag, nesting);
  return reader;
}

}  // namespace fastserve::wire
