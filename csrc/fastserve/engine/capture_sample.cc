#include "fastserve/engine/capture_sample.h"

#include "fastserve/base/random.h"

namespace fastserve::engine {

namespace {

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
  // The step keeps neighbouring counters apart and moves a seed of 0.
  return is_within(mix(id.empty() ? mix(seed + kGoldenStep) + counter * kGoldenStep : hash(id)),
                   share);
}

}  // namespace fastserve::engine
