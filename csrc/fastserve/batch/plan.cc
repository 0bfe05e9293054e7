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

  // The most rows that meet the earliest deadline taken so far; found anew only when that moves.
  // The curve is monotone, so this also stops at an entry that is hopeless by itself.
  auto rows_in_time = [&](Nanos deadline) {
    if (deadline == kNever) return limits.max_rows;
    return deadline <= now ? 0 : cost.rows_within(deadline - now, limits.max_rows);
  };
  Nanos earliest = head->deadline;
  Nanos oldest = head->arrival;
  uint32_t fit = rows_in_time(earliest);
  plan.reason = plan.rows == limits.max_rows ? Reason::kFull : Reason::kIdle;
  for (LaneEntry* entry = head->next; entry != nullptr; entry = entry->next) {
    if (entry->rows > limits.max_rows - plan.rows) {
      plan.reason = Reason::kFull;
      break;
    }
    uint32_t rows = plan.rows + entry->rows;
    uint32_t fit_with = entry->deadline < earliest ? rows_in_time(entry->deadline) : fit;
    if (rows > fit_with) {
      plan.reason = Reason::kDeadline;
      break;
    }
    fit = fit_with;
    earliest = std::min(earliest, entry->deadline);
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
