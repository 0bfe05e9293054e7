#include "fastserve/http2/frame_scanner.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/raw_peer.h"

namespace fastserve::http2 {
namespace {

using namespace fastserve::transport_test;  // NOLINT(google-build-using-namespace)

// Tenths of tokens that `bytes` cost, after the preface.
int64_t price(const std::string& bytes) {
  GlitchLimiter limiter(1000, 0);
  FrameScanner scanner(Limits{}, &limiter);
  CHECK(scanner.scan(as_bytes(preface()), 0));
  scanner.scan(as_bytes(bytes), 0);
  return 10'000 - limiter.tenths();
}

}  // namespace

TEST_CASE("what an ordinary call is made of costs nothing") {
  CHECK(price("") == 0);
  CHECK(price(frame(kSettings, kAck, 0, "")) == 0);
  CHECK(price(frame(kHeaders, kEndHeaders, 1, "x") + frame(kData, 0, 1, "abc") +
              frame(kData, kEndStream, 1, "")) == 0);
  CHECK(price(frame(kWindowUpdate, 0, 0, be32(1)) + frame(kPing, 0, 0, "12345678")) == 0);
}

TEST_CASE("each kind of odd frame has its price") {
  CHECK(price(frame(kSettings, 0, 0, "")) == GlitchCost::kSettings);
  CHECK(price(frame(kData, 0, 1, "")) == GlitchCost::kOddFrame);
  CHECK(price(frame(kData, kPadded, 1, std::string(256, '\0'))) == GlitchCost::kOddFrame);
  CHECK(price(frame(kData, kPadded, 1, std::string(257, '\0'))) == 0);
  CHECK(price(frame(kHeaders, 0, 1, "")) == GlitchCost::kOddFrame);
  CHECK(price(frame(kContinuation, 0, 1, "x")) == GlitchCost::kOddFrame);
  CHECK(price(frame(kPriority, 0, 1, "12345")) == GlitchCost::kOddFrame);
  CHECK(price(frame(200, 0, 1, "12345")) == GlitchCost::kOddFrame);
  CHECK(price(frame(kPing, kAck, 0, "12345678")) == 0);
}

TEST_CASE("one PING is due for each stretch of data, more are odd") {
  const std::string ping = frame(kPing, 0, 0, "12345678");
  const std::string data = frame(kData, 0, 1, "x");
  CHECK(price(ping + ping) == GlitchCost::kOddFrame);
  CHECK(price(ping + data + ping + data + data + ping) == 0);
}

TEST_CASE("WINDOW_UPDATEs are due for streams and sent DATA frames, more are odd") {
  const std::string update = frame(kWindowUpdate, 0, 0, be32(1));
  std::string five;
  for (int i = 0; i < 5; ++i) five += update;
  CHECK(price(five) == 0);
  CHECK(price(five + update) == GlitchCost::kOddFrame);
  CHECK(price(five + frame(kHeaders, kEndHeaders, 1, "x") + update + update) == 0);
  GlitchLimiter limiter(1000, 0);
  FrameScanner scanner(Limits{}, &limiter);
  scanner.on_data_sent();
  scanner.scan(as_bytes(preface() + five + five + five), 0);
  CHECK(limiter.tenths() == 10'000);
  scanner.scan(as_bytes(update), 0);
  CHECK(limiter.tenths() == 10'000 - GlitchCost::kOddFrame);
}

TEST_CASE("prices do not depend on where the bytes are cut") {
  const std::string bytes = preface() + frame(kData, 0, 1, "") + frame(kHeaders, 0, 1, "abc") +
                            frame(99, 0, 0, std::string(300, 'x')) +
                            frame(kPriority, 0, 1, "12345");
  for (size_t step = 1; step < 40; ++step) {
    GlitchLimiter limiter(1000, 0);
    FrameScanner scanner(Limits{}, &limiter);
    for (size_t at = 0; at < bytes.size(); at += step) {
      REQUIRE(scanner.scan(as_bytes(std::string_view(bytes).substr(at, step)), 0));
    }
    CHECK(limiter.tenths() == 10'000 - 4 * GlitchCost::kOddFrame);
  }
}

TEST_CASE("a header block longer than any within limits is cut off at its frame header") {
  Limits limits;
  limits.max_header_bytes = 1000;
  GlitchLimiter limiter(1000, 0);
  FrameScanner scanner(limits, &limiter);
  CHECK(scanner.scan(as_bytes(preface() + frame(kHeaders, 0, 1, std::string(4000, 'x'))), 0));
  CHECK(!scanner.scan(as_bytes(frame(kContinuation, kEndHeaders, 1, "x")), 0));
  FrameScanner fresh(limits, &limiter);
  const std::string two = frame(kHeaders, kEndHeaders, 1, std::string(4000, 'x'));
  CHECK(fresh.scan(as_bytes(preface() + two + two), 0));
  CHECK(!fresh.scan(as_bytes(frame(kHeaders, 0, 1, std::string(4001, 'x')).substr(0, 9)), 0));
}

}  // namespace fastserve::http2
