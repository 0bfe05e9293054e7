#include "fastserve/grpc/base64.h"

#include <doctest/doctest.h>

namespace fastserve::grpc {

// RFC 4648, section 10.
TEST_CASE("the test vectors of the RFC hold, padded or not") {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    CHECK(base64_encode(bytes) == text);
    CHECK(base64_decode(text) == bytes);
    std::string padded = text;
    while (padded.size() % 4 != 0) padded += '=';
    CHECK(base64_decode(padded) == bytes);
  }
}

TEST_CASE("every byte survives both ways at every length") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    CHECK(base64_decode(base64_encode(bytes)) == bytes);
    bytes += static_cast<char>(i * 7);
  }
}

TEST_CASE("text outside the alphabet, misplaced padding and impossible lengths are refused") {
  for (const char* text : {"a", "abcde", "a===", "ab=", "a=b=", "=abc", "====", "ab c", "ab-_",
                           "abc\n", "Zg=", "Zm9v=", "Zm9v===="}) {
    CAPTURE(text);
    CHECK(!base64_decode(text));
  }
}

}  // namespace fastserve::grpc
