#include "fastserve/grpc/timeout.h"

#include <doctest/doctest.h>

namespace fastserve::grpc {

TEST_CASE("each of the six timeout units has its length") {
  CHECK(parse_timeout("1H") == 3600 * kSecond);
  CHECK(parse_timeout("1M") == 60 * kSecond);
  CHECK(parse_timeout("1S") == kSecond);
  CHECK(parse_timeout("1m") == kMillisecond);
  CHECK(parse_timeout("1u") == kMicrosecond);
  CHECK(parse_timeout("1n") == 1);
}

TEST_CASE("a timeout has one to eight digits and never overflows") {
  CHECK(parse_timeout("0S") == 0);
  CHECK(parse_timeout("00000001S") == kSecond);
  CHECK(parse_timeout("99999999n") == 99'999'999);
  CHECK(parse_timeout("99999999S") == 99'999'999 * kSecond);
  CHECK(parse_timeout("99999999M") == Nanos{99'999'999} * 60 * kSecond);
  CHECK(parse_timeout("2562047H") == Nanos{2'562'047} * 3600 * kSecond);
  CHECK(parse_timeout("2562048H") == kNever);
  CHECK(parse_timeout("99999999H") == kNever);
}

TEST_CASE("anything else is no timeout") {
  for (const char* text : {"", "S", "1", "1s", "1h", "123456789S", "-1S", "+1S", " 1S", "1 S",
                           "1.5S", "1Sm", "0x1S", "S1", "\xd9\xa1S"}) {
    CAPTURE(text);
    CHECK(!parse_timeout(text));
  }
  CHECK(!parse_timeout(std::string_view("1\0S", 3)));
}

}  // namespace fastserve::grpc
