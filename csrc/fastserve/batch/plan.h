// The batching rule as a pure function: what of a lane to run now.
//
// An idle executor calls it with the lane it was given. It takes rows from the head, in order, as
// many as fit `max_rows` and still let the earliest deadline among the taken be met by the
// version's learned cost curve. Entries that are expired, or cannot be met even alone, are left for
// the caller to refuse. `max_delay` (opt-in) may postpone a batch that is not full while every
// member has slack: until `max_delay` after its oldest arrival, but never past the time at which a
// run of max_rows rows must start to meet the earliest deadline. docs/batching.md states the rule
// for users; the two are kept equal by tests.
#pragma once

#include <cstdint>

#include "fastserve/base/clock.h"
#include "fastserve/batch/cost_curve.h"
#include "fastserve/batch/lane.h"

namespace fastserve::batch {

struct PlanLimits {
  uint32_t max_rows = 64;
  Nanos max_delay = 0;   // 0: never wait
  bool batching = true;  // false: one request per run, whatever its rows
};

// Why a batch was released as it is; a metric label.
enum class Reason : uint8_t {
  kIdle,      // took all there was
  kFull,      // the next request would exceed max_rows, or requests do not share runs
  kDeadline,  // more rows would have missed a member's deadline
  kOversize,  // one request larger than max_rows runs alone
  kWait,      // not now: see run_at
};

struct Plan {
  LaneEntry* first = nullptr;  // taken: `count` entries in lane order from `first`; null for kWait
  uint32_t count = 0;
  uint32_t rows = 0;
  Reason reason = Reason::kIdle;
  Nanos run_at = 0;  // when reason is kWait: ask again then (> now), or when the lane grows
};

// True when `entry` can no longer be answered in time: its deadline has passed, or its own
// predicted run would end after it.
bool is_hopeless(const LaneEntry& entry, const CostCurve& cost, Nanos now);

// The head of the lane must not be hopeless (the caller refuses hopeless entries first; hopeless
// entries further back end the batch, as kDeadline). An empty lane gives count 0.
Plan plan(const Lane& lane, const CostCurve& cost, const PlanLimits& limits, Nanos now);

}  // namespace fastserve::batch
