#include "fastserve/http2/glitch_limiter.h"

#include <doctest/doctest.h>

namespace fastserve::http2 {

TEST_CASE("the burst is spent exactly and refills at its rate") {
  GlitchLimiter limiter(100, 10);
  int spent = 0;
  while (limiter.charge(10, kSecond)) ++spent;
  CHECK(spent == 100);
  CHECK(!limiter.charge(10, kSecond));
  // 21 tokens in 2.1 s; two were overdrawn.
  spent = 0;
  while (limiter.charge(10, kSecond + 2'100 * kMillisecond)) ++spent;
  CHECK(spent == 19);
}

TEST_CASE("tokens trickle in, however small the steps of time") {
  GlitchLimiter limiter(10, 10);
  Nanos now = kSecond;
  limiter.charge(100, now);
  for (int i = 0; i < 1000; ++i) limiter.charge(0, now += kMillisecond - 1);
  CHECK(limiter.tenths() >= 99);
}

TEST_CASE("the bucket never holds more than the burst") {
  GlitchLimiter limiter(10, 1000);
  limiter.earn(1'000'000);
  CHECK(limiter.tenths() == 100);
  limiter.charge(50, kSecond);
  limiter.charge(0, kNever);
  CHECK(limiter.tenths() == 100);
}

TEST_CASE("time that goes backwards and a rate of zero give nothing") {
  GlitchLimiter limiter(10, 100);
  limiter.charge(60, 100 * kSecond);
  limiter.charge(0, kSecond);
  CHECK(limiter.tenths() == 40);
  GlitchLimiter fixed(10, 0);
  fixed.charge(60, 0);
  fixed.charge(0, kNever);
  CHECK(fixed.tenths() == 40);
}

TEST_CASE("answers earn back what resets cost") {
  GlitchLimiter limiter(5, 0);
  bool ok = true;
  for (int i = 0; i < 1000; ++i) {
    ok = ok && limiter.charge(GlitchCost::kReset, 0);
    limiter.earn(GlitchCost::kAnswered);
  }
  CHECK(ok);
}

}  // namespace fastserve::http2
