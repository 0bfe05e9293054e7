#include "fastserve/grpc/percent_encoding.h"

#include <doctest/doctest.h>

namespace fastserve::grpc {

TEST_CASE("only printable ASCII without the percent sign stands for itself") {
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    const std::string encoded = percent_encode({&character, 1}, 100);
    if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
      CHECK(encoded == std::string(1, character));
    } else {
      REQUIRE(encoded.size() == 3);
      CHECK(encoded[0] == '%');
      CHECK(std::stoi(encoded.substr(1), nullptr, 16) == byte);
    }
  }
  CHECK(percent_encode("a\tb \xe2\x98\xba%\x7f", 100) == "a%09b %E2%98%BA%25%7F");
}

TEST_CASE("a message is cut at a whole character") {
  CHECK(percent_encode("abc", 3) == "abc");
  CHECK(percent_encode("abcd", 3) == "abc");
  CHECK(percent_encode("ab\xe2\x98\xba", 11) == "ab%E2%98%BA");
  CHECK(percent_encode("ab\xe2\x98\xba", 10) == "ab");
  CHECK(percent_encode("ab\n", 4) == "ab");
  CHECK(percent_encode("", 0).empty());
}

}  // namespace fastserve::grpc
