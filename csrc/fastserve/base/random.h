// Random numbers that are quick and no secret: ids that must not meet, shares of calls.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <random>

namespace fastserve {

// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014): every bit of the input moves every bit of the output. 0 stays 0.
inline uint64_t mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}
// SplitMix64's step between the states of neighbouring outputs: 2^64 over the golden ratio.
inline constexpr uint64_t kGoldenStep = 0x9e3779b97f4a7c15;

// Blackman and Vigna's xoshiro256++ (2019): passes every test that a sample or an id could fail,
// and anybody who sees its outputs can foretell the next. Thread: one.
class Random {
 public:
  // Seeded by the system: two processes, or two threads, do not draw the same ids.
  Random() {
    std::random_device device;
    for (uint64_t& word : state_) word = uint64_t{device()} << 32 | device();
    state_[0] |= 1;  // the one state that it never leaves is all zeros
  }

  uint64_t next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace fastserve
