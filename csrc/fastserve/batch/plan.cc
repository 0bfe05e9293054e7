#include "fastserve/batch/plan.h"

#include <algorithm>

namespace fastserve::batch {
namespace {

// Would a run that starts at `now` and takes `cost` end after `deadline`?
bool is_late(Nanos deadline, Nanos cost, Nanos now) {
  return deadline != kNever && (deadline <= now || cost > deadline - now);
}

Nanos add_saturated(Nanos a, Nanos b) { return a > kNever - b ? kNever : a + b; }

}  // namespace

bool is_hopeless(const LaneEntry& entry, const CostCurve& cost, Nanos now) {
  return is_late(entry.deadline, entry.deadline == kNever ? 0 : cost.predict(entry.rows), now);
}

Plan plan(const Lane& lane, const CostCurve& cost, const PlanLimits& limits, Nanos now) {
  Plan plan;
  LaneEntry* head = lane.head();
  if (head == nullptr) return plan;
  plan.first = head;
  plan.count = 1;
  plan.rows = head->rows;
  if (head->rows > limits.max_rows) {
    plan.reason = Reason::kOversize;
    return plan;
  }
  if (!limits.batching) {
    plan.reason = head->next == nullptr ? Reason::kIdle : Reason::kFull;
    return plan;
  }

  Nanos earliest = head->deadline;
  Nanos oldest = head->arrival;
  plan.reason = plan.rows == limits.max_rows ? Reason::kFull : Reason::kIdle;
  for (LaneEntry* entry = head->next; entry != nullptr; entry = entry->next) {
    if (entry->rows > limits.max_rows - plan.rows) {
      plan.reason = Reason::kFull;
      break;
    }
    uint32_t rows = plan.rows + entry->rows;
    Nanos deadline = std::min(earliest, entry->deadline);
    // A larger batch is never predicted to be shorter, so this also stops at an entry that is
    // hopeless by itself.
    if (deadline != kNever && is_late(deadline, cost.predict(rows), now)) {
      plan.reason = Reason::kDeadline;
      break;
    }
    earliest = deadline;
    oldest = std::min(oldest, entry->arrival);
    plan.rows = rows;
    ++plan.count;
    if (rows == limits.max_rows) {
      plan.reason = Reason::kFull;
      break;
    }
  }

  if (plan.reason != Reason::kIdle || limits.max_delay <= 0) return plan;
  Nanos run_at = add_saturated(oldest, limits.max_delay);
  if (earliest != kNever) run_at = std::min(run_at, earliest - cost.predict(limits.max_rows));
  if (run_at <= now) return plan;
  return Plan{nullptr, 0, 0, Reason::kWait, run_at};
}

}  // namespace fastserve::batch
