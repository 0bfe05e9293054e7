#include "fastserve/grpc/compression.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

namespace fastserve::grpc {
namespace {

// gzip bytes of `text`, made by the function under test's sibling.
std::string gzipped(std::string_view text) {
  Buffer out;
  REQUIRE(gzip_message(as_bytes(text), 0, &out));
  return std::string(as_text(out.bytes()));
}

Code inflate(std::string_view wire, Encoding encoding, size_t limit, std::string* text) {
  Buffer message;
  const Status status = inflate_message(as_bytes(wire), encoding, limit, &message);
  if (status.ok()) {
    *text = as_text(message.bytes());
    CHECK(reinterpret_cast<uintptr_t>(message.data() + message.size()) % 16 == 0);
  }
  return status.code();
}

}  // namespace

TEST_CASE("gzip goes there and back, up to the limit exactly") {
  for (const size_t size : {100u, 65'535u, 65'536u, 65'537u, 1'000'000u}) {
    const std::string text(size, 'z');
    const std::string wire = gzipped(text);
    std::string back;
    CHECK(inflate(wire, Encoding::kGzip, size, &back) == Code::kOk);
    CHECK(back == text);
    CHECK(inflate(wire, Encoding::kGzip, size - 1, &back) == Code::kResourceExhausted);
  }
}

TEST_CASE("a gzip stream damaged anywhere is refused") {
  const std::string text = std::string(5000, 'q') + "tail";
  const std::string wire = gzipped(text);
  std::string back;
  for (size_t cut = 0; cut < wire.size(); ++cut) {
    CHECK(inflate(wire.substr(0, cut), Encoding::kGzip, 1 << 20, &back) != Code::kOk);
  }
  CHECK(inflate(wire + "x", Encoding::kGzip, 1 << 20, &back) != Code::kOk);
  CHECK(inflate(wire + wire, Encoding::kGzip, 1 << 20, &back) != Code::kOk);
  CHECK(inflate(wire, Encoding::kDeflate, 1 << 20, &back) != Code::kOk);
  std::mt19937 random(11);
  for (int i = 0; i < 2000; ++i) {
    std::string bad = wire;
    // The header's flags, time and system (bytes 3 to 9) do not touch the content.
    bad[10 + random() % (bad.size() - 10)] ^= static_cast<char>(1 << random() % 8);
    back.clear();
    const Code code = inflate(bad, Encoding::kGzip, 1 << 20, &back);
    // Another distance into a run of one letter is the same text; anything else is noticed.
    CHECK((code != Code::kOk || back == text));
  }
}

TEST_CASE("a gzip trailer that lies is refused without inflating to it") {
  std::string wire = gzipped(std::string(1000, 'q'));
  for (const char size : {'\0', '\1', '\x7f', '\xff'}) {
    std::string bad = wire;
    for (size_t i = bad.size() - 4; i < bad.size(); ++i) bad[i] = size;
    std::string back;
    CHECK(inflate(bad, Encoding::kGzip, SIZE_MAX / 2, &back) == Code::kInternal);
  }
}

TEST_CASE("what does not shrink is not compressed") {
  std::mt19937 random(3);
  std::string noise(10'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  Buffer out;
  CHECK(!gzip_message(as_bytes(noise), 5, &out));
  CHECK(!gzip_message(as_bytes("hello"), 5, &out));
  CHECK(out.empty());
  CHECK(gzip_message(as_bytes("hello" + std::string(1000, 'a')), 5, &out));
  CHECK(out.size() < 100);
}

TEST_CASE("encodings and accept lists are read by name") {
  CHECK(parse_encoding("") == Encoding::kIdentity);
  CHECK(parse_encoding("identity") == Encoding::kIdentity);
  CHECK(parse_encoding("gzip") == Encoding::kGzip);
  CHECK(parse_encoding("deflate") == Encoding::kDeflate);
  CHECK(parse_encoding("Gzip") == Encoding::kUnknown);
  CHECK(accepts_encoding("gzip", "gzip"));
  CHECK(accepts_encoding("identity,deflate,gzip", "gzip"));
  CHECK(accepts_encoding(" identity , gzip ", "gzip"));
  CHECK(!accepts_encoding("", "gzip"));
  CHECK(!accepts_encoding("xgzip,gzipx", "gzip"));
}

}  // namespace fastserve::grpc
