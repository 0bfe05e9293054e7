// Random bits that are the same on every machine for the same seed.
#pragma once

#include <cstdint>

namespace fastserve::sketch {

// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014): every bit of the input moves every bit of the output.
inline uint64_t mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

// SplitMix64, eight bytes of state: it decides which of two neighbours a sketch keeps, so it has to
// be fair and cheap, not secret.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }
  // Below 2^bits.
  uint32_t below_power_of_two(uint32_t bits) {
    return static_cast<uint32_t>(next() >> 32) & ((1U << bits) - 1);
  }

 private:
  uint64_t state_;
};

}  // namespace fastserve::sketch
