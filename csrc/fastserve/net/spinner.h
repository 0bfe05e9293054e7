// Decides whether a loop polls for a moment before it sleeps.
//
// On a virtual machine waking a sleeping thread costs 50 to 80 us, several times what a small model
// needs. When requests come in quick succession, polling until the next one saves that; when they
// do not, polling burns the CPU for nothing. So the loop polls for at most a stated budget before a
// sleep, and only while events lately came within it. What it costs: that budget of CPU time before
// a sleep, and nothing at all when traffic is sparse.
#pragma once

#include <algorithm>

#include "fastserve/base/clock.h"

namespace fastserve::net {

class Spinner {
 public:
  // `budget`: the longest to poll; 0 never polls.
  explicit Spinner(Nanos budget) : budget_(budget) {}

  // How long to poll before sleeping; 0: sleep at once.
  Nanos budget() const { return usual_gap_ < budget_ ? budget_ : 0; }

  // The next event came `idle` after the loop had nothing left to do; `slept`: it had to be woken,
  // which itself took a while.
  void observe(Nanos idle, bool slept) {
    constexpr Nanos kWakeCost = 60 * kMicrosecond;
    // One long silence must not outweigh many short ones for long.
    const Nanos gap = std::clamp<Nanos>(slept ? idle - kWakeCost : idle, 0, 8 * budget_);
    usual_gap_ += (gap - usual_gap_) / 8;
  }

 private:
  const Nanos budget_;
  Nanos usual_gap_ = kSecond;  // exponentially weighted
};

}  // namespace fastserve::net
