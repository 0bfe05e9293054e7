// A token bucket over injected time that bounds how much nonsense a connection may send.
//
// Whole answers earn tokens back: a glitch never costs us more than a request, and requests are not
// limited here, so a peer that completes as many calls as it spoils gains nothing that plain load
// would not give it. That keeps honest clients (hedged calls, deadlines under overload) connected
// at any rate.
#pragma once

#include <algorithm>
#include <cstdint>

#include "fastserve/base/clock.h"

namespace fastserve::http2 {

// Prices in tenths of a token.
struct GlitchCost {
  static constexpr int64_t kLateReset = 1;       // by the peer: the answer is under way, or old
  static constexpr int64_t kReset = 10;          // by the peer, of a young unanswered stream
  static constexpr int64_t kOddFrame = 10;       // empty DATA/HEADERS/CONTINUATION, PRIORITY,
                                                 // unknown types, PING or WINDOW_UPDATE in excess
  static constexpr int64_t kRefusedStream = 10;  // over the stream limit
  static constexpr int64_t kPeerError = 50;      // we had to reset a stream (MadeYouReset)
  static constexpr int64_t kSettings = 100;      // may touch every open stream
  static constexpr int64_t kAnswered = 10;       // earned back
};

class GlitchLimiter {
 public:
  GlitchLimiter(uint32_t burst, uint32_t per_second)
      : burst_(int64_t{burst} * 10), per_second_(int64_t{per_second} * 10), tenths_(burst_) {}

  // False once the bucket is overdrawn. Times that go backwards count as no time.
  bool charge(int64_t tenths, Nanos now) {
    refill(now);
    tenths_ -= tenths;
    return tenths_ >= 0;
  }
  void earn(int64_t tenths) { tenths_ = std::min(burst_, tenths_ + tenths); }

  int64_t tenths() const { return tenths_; }

 private:
  void refill(Nanos now) {
    if (!started_) {
      started_ = true;
      last_ = now;
    }
    if (now <= last_ || per_second_ == 0) return;
    // Beyond the time that fills an empty bucket there is nothing to gain (and much to overflow).
    const Nanos fill_time = (burst_ + kOverdraft) / per_second_ * kSecond + kSecond;
    if (now - last_ >= fill_time) {
      tenths_ = burst_;
      last_ = now;
      return;
    }
    const int64_t gained = (now - last_) / (kSecond / per_second_);
    if (gained == 0) return;
    last_ += gained * (kSecond / per_second_);
    earn(gained);
  }

  // The dearest single charge; the bucket may be overdrawn by that much.
  static constexpr int64_t kOverdraft = 100;

  int64_t burst_;
  int64_t per_second_;
  int64_t tenths_;
  Nanos last_ = 0;
  bool started_ = false;
};

}  // namespace fastserve::http2
