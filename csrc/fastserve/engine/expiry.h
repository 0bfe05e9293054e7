// Requests whose time is over before they ran: at their deadline, or at the end of the time that
// their queue policy gives them.
#pragma once

#include "fastserve/base/clock.h"
#include "fastserve/batch/lane.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/stats.h"
#include "fastserve/engine/version.h"

namespace fastserve::engine {

// The deadline has passed, or the predicted run would end after it by a curve that may be trusted:
// see Version::has_fresh_cost.
bool cannot_be_met(const batch::LaneEntry& entry, const Version& version, Nanos now);

// The time in the queue is over by a policy that delays. Otherwise it is one that refuses.
bool is_to_be_delayed(const Request& request);
// `request`, which is in no lane, will wait behind everything else of its version, with no further
// bound on how long.
void delay(Request* request);

// Answers `request`, which never ran: UNAVAILABLE where its time in the queue ended first,
// DEADLINE_EXCEEDED otherwise. Both count as expired.
void complete_expired(Request* request, StatsShard* stats, Nanos now);

}  // namespace fastserve::engine
