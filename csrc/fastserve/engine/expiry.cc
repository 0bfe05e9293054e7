#include "fastserve/engine/expiry.h"

#include <string>

#include "fastserve/batch/plan.h"

namespace fastserve::engine {
namespace {

Status expired(const Request& request, Nanos now) {
  if (request.wait_until <= now && request.wait_until <= request.deadline) {
    return {Code::kUnavailable, "Request timeout expired: the request waited " +
                                    std::to_string((now - request.arrival) / kMicrosecond) +
                                    " us for model '" + request.version->config().model +
                                    "', longer than its queue policy allows; retry later"};
  }
  const Nanos left = request.deadline - now;
  return {Code::kDeadlineExceeded,
          left <= 0 ? "the deadline passed while the request waited"
                    : "the predicted run would end after the deadline, which is " +
                          std::to_string(left / kMicrosecond) + " us away"};
}

}  // namespace

bool cannot_be_met(const batch::LaneEntry& entry, const Version& version, Nanos now) {
  if (entry.deadline == kNever) return false;
  if (entry.deadline <= now) return true;
  return version.has_fresh_cost(now) && batch::is_hopeless(entry, version.cost(), now);
}

bool is_to_be_delayed(const Request& request) {
  return request.version->queue_rules().policy(request.level).is_delay;
}

void delay(Request* request) {
  request->rank = request->version->queue_rules().delayed_rank();
  request->wait_until = kNever;
}

void complete_expired(Request* request, StatsShard* stats, Nanos now) {
  stats->failures[static_cast<size_t>(Failure::kExpired)].add(1);
  stats->failure_ns.add(static_cast<uint64_t>(now - request->arrival));
  request->completion->complete(*request, expired(*request, now), {}, Timing{});
}

}  // namespace fastserve::engine
