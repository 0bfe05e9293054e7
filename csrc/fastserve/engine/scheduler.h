// The scheduler: lanes that wait, and the executor threads that run them.
//
// One lock guards all lanes. It is taken once per sweep by each port and twice per batch by each
// executor, never per request. An idle executor takes the most urgent lane at once: whose turn it
// is by deficit round robin, then batch::plan decides what of it to run.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/batch/plan.h"
#include "fastserve/batch/round_robin.h"
#include "fastserve/engine/lane_slot.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/workbench.h"

namespace fastserve::engine {

class Scheduler {
 public:
  // Executor i writes stats shard `first_writer + i`.
  Scheduler(int executors, size_t first_writer);
  // Queued requests complete with kUnavailable; running batches finish first.
  ~Scheduler();

  // Thread: any port's. All of one version.
  void enqueue(Version& version, std::span<Request* const> requests);
  // See Port::cancel.
  bool cancel(Request* request, Failure why);

  // How long a request of `version` that arrived now would wait for an executor, predicted from the
  // cost of what is queued. A light version is not charged for more than its fair share of a heavy
  // one's queue.
  Nanos predicted_wait(const Version& version) const;
  int64_t backlog_ns() const { return backlog_ns_.load(std::memory_order_relaxed); }
  uint64_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }

 private:
  void run_executor(size_t writer);
  // Under the lock. False when nothing is to run now; then *wait_until says when to look again.
  bool take(RunningBatch* batch, std::vector<Request*>* expired, Nanos now, Nanos* wait_until);
  void wake_postponed(Nanos now, Nanos* wait_until);
  void unqueue(LaneSlot* slot, Request* request);
  LaneSlot& slot_for(Version& version, const Request& request);

  const int executors_;
  const size_t first_writer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  batch::RoundRobin round_;
  std::vector<LaneSlot*> postponed_;
  std::vector<int64_t> key_scratch_;
  int idle_ = 0;
  bool is_stopping_ = false;
  std::atomic<int64_t> backlog_ns_{0};
  std::atomic<uint64_t> queued_bytes_{0};
  std::atomic<uint64_t> active_lanes_{0};
  std::vector<std::thread> threads_;
};

// Hopeless, by a curve that may be trusted: see Version::has_fresh_cost.
bool cannot_be_met(const batch::LaneEntry& entry, const Version& version, Nanos now);

// The limits that a version's config gives its plans.
batch::PlanLimits plan_limits(const Version& version);

// Answers `request`, which never ran, with DEADLINE_EXCEEDED.
void complete_expired(Request* request, StatsShard* stats, Nanos now);

}  // namespace fastserve::engine
