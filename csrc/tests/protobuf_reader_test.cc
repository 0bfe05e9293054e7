#include "fastserve/wire/protobuf_reader.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "wire_bytes.h"

namespace fastserve::wire {
namespace {

// A copy of exactly the message's size: AddressSanitizer sees one byte read too many.
class Exact {
 public:
  explicit Exact(std::string_view text)
      : bytes_(std::make_unique<std::byte[]>(text.size())), size_(text.size()) {
    std::memcpy(bytes_.get(), text.data(), text.size());
  }
  ByteSpan span() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_;
};

WireError error_of_varint(std::string_view text) {
  const Exact bytes(text);
  ProtobufReader reader(bytes.span());
  uint64_t value;
  return reader.read_varint(&value) ? WireError::kNone : reader.error();
}

uint64_t varint_of(std::string_view text) {
  const Exact bytes(text);
  ProtobufReader reader(bytes.span());
  uint64_t value = 0;
  REQUIRE(reader.read_varint(&value));
  CHECK(reader.at_end());
  return value;
}

WireError error_of_tag(std::string_view text) {
  const Exact bytes(text);
  ProtobufReader reader(bytes.span());
  uint32_t tag = 0;
  return reader.read_tag(&tag) ? WireError::kNone : reader.error();
}

WireError error_of_skip(std::string_view text, int nesting = kMaxNesting) {
  const Exact bytes(text);
  ProtobufReader reader(bytes.span());
  uint32_t tag = 0;
  REQUIRE(reader.read_tag(&tag));
  return reader.skip_field(tag, nesting) ? WireError::kNone : reader.error();
}

TEST_CASE("protobuf_reader: varints of every length read back") {
  for (int bits = 0; bits < 64; ++bits) {
    for (uint64_t value : {uint64_t{1} << bits, (uint64_t{1} << bits) - 1, ~uint64_t{0} >> bits}) {
      CAPTURE(value);
      CHECK(varint_of(varint(value)) == value);
    }
  }
}

TEST_CASE("protobuf_reader: a varint may be longer than it need be, up to 10 bytes") {
  CHECK(varint_of(raw("\x81\x00")) == 1);
  CHECK(varint_of(repeated("\x80", 9) + raw("\x00")) == 0);
  CHECK(error_of_varint(repeated("\x80", 10) + raw("\x00")) == WireError::kVarintTooLong);
}

TEST_CASE("protobuf_reader: bits of a varint beyond the 64th are dropped") {
  CHECK(varint_of(repeated("\xff", 9) + "\x7f") == UINT64_MAX);
}

TEST_CASE("protobuf_reader: a varint that the bytes cut short is refused") {
  CHECK(error_of_varint("") == WireError::kTruncated);
  for (size_t length = 1; length < 10; ++length) {
    CAPTURE(length);
    CHECK(error_of_varint(repeated("\x80", length)) == WireError::kTruncated);
  }
}

TEST_CASE("protobuf_reader: tags have at most 5 bytes, 32 bits and a field number above 0") {
  CHECK(error_of_tag("\x08") == WireError::kNone);
  CHECK(error_of_tag("\xf8\xff\xff\xff\x0f") == WireError::kNone);
  CHECK(error_of_tag("\xf8\xff\xff\xff\x1f") == WireError::kBadTag);
  CHECK(error_of_tag(raw("\x88\x80\x80\x80\x80\x00")) == WireError::kBadTag);
  CHECK(error_of_tag(raw("\x00")) == WireError::kBadTag);
  CHECK(error_of_tag(raw("\x07")) == WireError::kBadTag);
  CHECK(error_of_tag("\x80") == WireError::kTruncated);
}

TEST_CASE("protobuf_reader: a length beyond the bytes is refused before anything is read") {
  CHECK(error_of_skip("\x0a\x03"
                      "ab") == WireError::kBadLength);
  CHECK(error_of_skip("\x0a\xff\xff\xff\xff\x07") == WireError::kBadLength);
  CHECK(error_of_skip("\x0a\xff\xff\xff\xff\x0f") == WireError::kBadLength);
  CHECK(error_of_skip(raw("\x0a\x80\x80\x80\x80\x80\x00")) == WireError::kLengthTooLong);
  CHECK(error_of_skip("\x0a") == WireError::kTruncated);
}

TEST_CASE("protobuf_reader: fields of every wire type are skipped whole") {
  CHECK(error_of_skip("\x08\x96\x01") == WireError::kNone);
  CHECK(error_of_skip("\x09"
                      "12345678") == WireError::kNone);
  CHECK(error_of_skip("\x0d"
                      "1234") == WireError::kNone);
  CHECK(error_of_skip("\x0b\x08\x01\x0c") == WireError::kNone);
  CHECK(error_of_skip("\x09"
                      "1234567") == WireError::kTruncated);
  CHECK(error_of_skip("\x0d"
                      "123") == WireError::kTruncated);
  CHECK(error_of_skip("\x0e") == WireError::kBadWireType);
  CHECK(error_of_skip("\x0f") == WireError::kBadWireType);
}

TEST_CASE("protobuf_reader: groups must be closed by their own number") {
  CHECK(error_of_skip("\x0b\x14") == WireError::kUnmatchedEndGroup);
  CHECK(error_of_skip("\x0b") == WireError::kUnmatchedEndGroup);
  CHECK(error_of_skip("\x0c") == WireError::kUnmatchedEndGroup);
  CHECK(error_of_skip("\x0b\x13\x0c\x14") == WireError::kUnmatchedEndGroup);
  CHECK(error_of_skip(raw("\x0b\x00\x01\x0c")) == WireError::kBadTagInGroup);
}

TEST_CASE("protobuf_reader: groups nest as deep as allowed and no deeper") {
  const auto groups = [](size_t depth) {
    return repeated("\x0b", depth) + repeated("\x0c", depth);
  };
  CHECK(error_of_skip(groups(100)) == WireError::kNone);
  CHECK(error_of_skip(groups(101)) == WireError::kTooDeep);
  CHECK(error_of_skip(groups(1'000'000)) == WireError::kTooDeep);
  CHECK(error_of_skip(groups(98), 98) == WireError::kNone);
  CHECK(error_of_skip(groups(99), 98) == WireError::kTooDeep);
}

TEST_CASE("is_utf8: accepts what Unicode allows, at every length and offset") {
  for (size_t padding = 0; padding < 20; ++padding) {
    const std::string ascii(padding, 'a');
    CAPTURE(padding);
    CHECK(is_utf8(ascii));
    for (std::string_view valid :
         {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
          "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
      CHECK(is_utf8(ascii + std::string(valid)));
      CHECK(is_utf8(std::string(valid) + ascii));
    }
    for (std::string_view invalid :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xe0\x9f\xbf",
          "\xed\xa0\x80", "\xed\xbf\xbf", "\xe2\x82", "\xe2\x82\x7f", "\xf0\x8f\xbf\xbf",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x9f\x98", "\xff", "\xfe"}) {
      CAPTURE(invalid);
      CHECK_FALSE(is_utf8(ascii + std::string(invalid)));
      CHECK_FALSE(is_utf8(std::string(invalid) + ascii));
      CHECK_FALSE(is_utf8(ascii + std::string(invalid) + ascii));
    }
  }
}

}  // namespace
}  // namespace fastserve::wire
