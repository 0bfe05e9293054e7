#include "fastserve/route/slot_map.h"

#include <algorithm>
#include <cmath>

#include "fastserve/base/random.h"

namespace fastserve::route {
namespace {

uint64_t mixed(uint64_t value) { return mix(value + kGoldenStep); }

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
