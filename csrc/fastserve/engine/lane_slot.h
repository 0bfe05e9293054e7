// A lane of one version with its place in the scheduler's round.
#pragma once

#include <cstdint>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/batch/lane.h"
#include "fastserve/batch/round_robin.h"

namespace fastserve::engine {

class Version;
struct Request;

// Thread: the scheduler's lock.
struct LaneSlot : batch::Turn {
  Version* version = nullptr;
  batch::Lane lane;
  // Sizes of the inputs' axes behind the first, in order; what members of one batch share.
  std::vector<int64_t> key;
  // Postponed by max_delay until then; out of the round meanwhile.
  bool is_postponed = false;
  Nanos run_at = 0;
};

// Appends the sizes that make requests share a lane to *key (cleared first).
void make_lane_key(const Request& request, std::vector<int64_t>* key);

}  // namespace fastserve::engine
