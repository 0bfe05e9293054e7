// Decides whether a loop polls for a moment before it sleeps.
//
// On a virtual machine waking a sleeping thread costs 50 to 80 us, several times what a small model
// needs. When requests come in quick succession, polling until the next one saves that; when they
// do not, polling burns the CPU for nothing. So the loop polls for at most `kBudget` before a
// sleep, and only while events lately came within it. What it costs: at most kBudget of CPU time
// before a sleep, and nothing at all when traffic is sparse. Chosen with `bench/run.py --only small
// one`.
#pragma once

#include <algorithm>

#include "fastserve/base/clock.h"

namespace fastserve::net {

class Spinner {
 public:
  static constexpr Nanos kBudget = 50 * kMicrosecond;

  // How long to poll before sleeping; 0: sleep at once.
  Nanos budget() const { return usual_gap_ < kBudget ? kBudget : 0; }

  // The next event came `idle` after the loop had nothing left to do; `slept`: it had to be woken,
  // which itself took a while.
  void observe(Nanos idle, bool slept) {
    constexpr Nanos kWakeCost = 60 * kMicrosecond;
    // One long silence must not outweigh many short ones for long.
    constexpr Nanos kLongest = 8 * kBudget;
    const Nanos gap = std::clamp<Nanos>(slept ? idle - kWakeCost : idle, 0, kLongest);
    usual_gap_ += (gap - usual_gap_) / 8;
  }

 private:
  Nanos usual_gap_ = kSecond;  // exponentially weighted
};

}  // namespace fastserve::net
