// For each bucket of the total duration the latest request in it, by the id that its client gave:
// the way from a slow bucket on a dashboard to a request in the client's own logs.
//
// One slot per bucket under a sequence lock whose every word is atomic: the slot's turn is odd
// while it is written, and a reader that saw it change reads again. A writer that finds another at
// the slot gives way, so nobody waits on the path of a request; what is lost is one example of
// many.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/engine/stats.h"

namespace fastserve::engine {

struct Exemplar {
  size_t bucket = 0;
  Nanos total = 0;
  Nanos at = 0;  // monotonic
  std::string id;
};

// Thread: any, for all of it.
class Exemplars {
 public:
  // OpenMetrics allows 128 characters for an exemplar's labels, names and values together, and the
  // label is named `request_id`.
  static constexpr size_t kMaxIdBytes = 118;

  // Remembers a request that took `total` and ended at `at`. A longer id is cut between characters.
  void put(Nanos total, Nanos at, std::string_view id);
  // Those there are, by bucket.
  std::vector<Exemplar> read() const;

 private:
  static constexpr size_t kWords = (kMaxIdBytes + 7) / 8;
  struct Slot {
    std::atomic<uint32_t> turn{0};
    std::atomic<uint32_t> id_bytes{0};
    std::atomic<Nanos> total{0};
    std::atomic<Nanos> at{0};
    std::array<std::atomic<uint64_t>, kWords> id{};
  };
  std::array<Slot, kBucketCount> slots_;
};

}  // namespace fastserve::engine
