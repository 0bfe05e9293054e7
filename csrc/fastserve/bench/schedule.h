// When the requests of an open loop are due: absolute times, fixed before anything is sent, so that
// a slow answer never delays the next request's clock.
#pragma once

#include <cmath>
#include <cstdint>

#include "fastserve/base/clock.h"
#include "fastserve/base/random.h"

namespace fastserve::bench {

enum class Arrivals : uint8_t {
  kConstant,  // equal gaps
  kPoisson,   // exponential gaps: independent callers
};

// Thread: one.
class Schedule {
 public:
  // `per_second` > 0. The first request is due at `start` plus `offset` gaps of the mean: threads
  // that share a constant rate interleave.
  Schedule(Arrivals arrivals, double per_second, Nanos start, double offset, uint64_t seed)
      : arrivals_(arrivals), start_(start), gap_(1e9 / per_second), offset_(offset), state_(seed) {
    if (arrivals_ == Arrivals::kPoisson) sum_ = gap();
  }

  // When the next request is due.
  Nanos due() const {
    if (arrivals_ == Arrivals::kPoisson) return start_ + static_cast<Nanos>(sum_);
    // Multiplied, not summed: after a billion requests the rate is still the one asked for.
    return start_ + static_cast<Nanos>((static_cast<double>(count_) + offset_) * gap_);
  }
  void advance() {
    ++count_;
    if (arrivals_ == Arrivals::kPoisson) sum_ += gap();
  }

 private:
  // Inversion of a uniform number in (0, 1].
  double gap() {
    state_ += kGoldenStep;
    const double uniform = (static_cast<double>(mix(state_) >> 11) + 1) * 0x1p-53;
    return -std::log(uniform) * gap_;
  }

  const Arrivals arrivals_;
  const Nanos start_;
  const double gap_;
  const double offset_;
  uint64_t state_;
  uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace fastserve::bench
