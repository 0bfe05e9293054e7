#include "fastserve/route/slot_map.h"

#include <algorithm>
#include <cmath>

namespace fastserve::route {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014): every bit of the input changes half of the output.
uint64_t mixed(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// In (0, 1), so that its logarithm is finite and not 0.
double unit(uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; }

}  // namespace

SlotMap::SlotMap(std::span<const Entry> entries, uint64_t seed)
    : seed_{.low = mixed(seed), .high = mixed(~seed)}, slots_(kSlots) {
  std::vector<double> best(kSlots, -1);
  for (size_t entry = 0; entry < entries.size(); ++entry) {
    if (entries[entry].weight <= 0) continue;
    const uint64_t own = mixed(seed_.low ^ mixed(entries[entry].id));
    for (size_t slot = 0; slot < kSlots; ++slot) {
      const double score = -entries[entry].weight / std::log(unit(mixed(own + slot)));
      if (score <= best[slot]) continue;
      best[slot] = score;
      slots_[slot] = static_cast<uint8_t>(entry);
    }
  }
}

double SlotMap::share(size_t entry) const {
  const auto held = std::count(slots_.begin(), slots_.end(), static_cast<uint8_t>(entry));
  return static_cast<double>(held) / kSlots;
}

}  // namespace fastserve::route
