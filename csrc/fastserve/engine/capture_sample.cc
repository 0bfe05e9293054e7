#include "fastserve/engine/capture_sample.h"

namespace fastserve::engine {

namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
// Generators", OOPSLA 2014): every bit of the input moves about half of the output's.
uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

// FNV-1a, 64 bits: ids are short, and nobody gains from a collision but a place in the sample.
uint64_t hash(std::string_view text) {
  uint64_t value = 0xCBF29CE484222325U;
  for (const char each : text) value = (value ^ static_cast<uint8_t>(each)) * 0x100000001B3U;
  return value;
}

}  // namespace

bool is_captured(double share, std::string_view id, uint64_t seed, uint64_t counter) {
  if (!(share > 0)) return false;
  if (share >= 1) return true;
  // The golden ratio keeps neighbouring counters apart and moves 0, which mix() leaves in place.
  constexpr uint64_t kGolden = 0x9E3779B97F4A7C15U;
  const uint64_t place = mix(id.empty() ? mix(seed + kGolden) + counter * kGolden : hash(id));
  // 53 bits, all that a double has: in [0, 1), and exact.
  return static_cast<double>(place >> 11) * 0x1.0p-53 < share;
}

}  // namespace fastserve::engine
