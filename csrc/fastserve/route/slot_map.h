// SlotMap: which entry of a route a sticky key belongs to.
//
// Idea. A key's hash names one of 65,536 slots, and each slot belongs to one entry: choosing is a
// hash and a load. Slots are given out by weighted rendezvous hashing: for each slot every entry
// draws a number from the seed, the slot and its version, and the highest of -weight / ln(draw)
// wins, which gives an entry slots in proportion to its weight. An entry's draws do not depend on
// the others or on any earlier state, so
//
//   * when a weight changes, only slots between that entry and the others change hands, as many as
//     the shares ask for; a key that has no reason to move stays;
//   * the same seed and weights give the same map in every process, after every restart.
//
// Papers: Thaler, Ravishankar, "Using name-based mappings to increase hit rates" (1998); the
// weights by logarithm: Schindelhauer, Schomaker, "Weighted Distributed Hash Tables" (2005).
//
// Error. The share of slots is drawn, not dealt: its standard deviation is sqrt(p (1 - p) / 65536),
// 0.2 % at a half. The keys that a service has are a sample as well.
//
// Rejected: intervals on a line (a change moves every boundary behind it), rings of virtual nodes
// (uneven, larger), rendezvous for each request (a logarithm for each entry on the request path),
// moving slots from the map before (the map would depend on history).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "fastserve/base/sip_hash.h"

namespace fastserve::route {

class SlotMap {
 public:
  static constexpr size_t kSlots = 65'536;
  static constexpr size_t kMaxEntries = 64;

  struct Entry {
    uint64_t id = 0;    // the entry's own: its draws depend on it alone
    double weight = 0;  // finite, not negative; one at least above 0
  };

  // At most kMaxEntries. Costs kSlots logarithms for each entry.
  SlotMap(std::span<const Entry> entries, uint64_t seed);

  // The index of the entry that `key` belongs to.
  size_t find(std::string_view key) const { return slots_[slot_of(key)]; }
  // Which slot that is; for explanations.
  size_t slot_of(std::string_view key) const { return sip_hash(seed_, key).low >> (64 - 16); }
  // The part of all slots that an entry has.
  double share(size_t entry) const;

 private:
  static_assert(kSlots == size_t{1} << 16);

  const Hash128 seed_;
  std::vector<uint8_t> slots_;
};

}  // namespace fastserve::route
