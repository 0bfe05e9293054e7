// Random bits that are the same on every machine for the same seed.
#pragma once

#include <cstdint>

#include "fastserve/base/random.h"

namespace fastserve::sketch {

// SplitMix64, eight bytes of state: it decides which of two neighbours a sketch keeps, so it has to
// be fair and cheap, not secret.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mix(state_ += kGoldenStep); }
  // Below 2^bits.
  uint32_t below_power_of_two(uint32_t bits) {
    return static_cast<uint32_t>(next() >> 32) & ((1U << bits) - 1);
  }

 private:
  uint64_t state_;
};

}  // namespace fastserve::sketch
