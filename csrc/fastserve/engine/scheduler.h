// The scheduler: lanes that wait, and the executor threads that run them.
//
// One lock guards all lanes. It is taken once per sweep by each port and twice per batch by each
// executor, never per request. An idle executor takes the most urgent lane at once: whose turn it
// is by deficit round robin, then batch::plan decides what of it to run.
//
// Where a version has priority levels, they are ranks within each of its lanes, so a batch is
// filled up with less urgent requests only behind all more urgent ones of its lane; and the turn of
// one lane goes to the most urgent lane of its version.
//
// Requests whose queue policy bounds their waiting have a timer each. One thread more, the
// timekeeper, sleeps until the next is due, so that the answer comes in time when every executor is
// busy; the executors look too, before they plan.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/batch/plan.h"
#include "fastserve/batch/round_robin.h"
#include "fastserve/engine/lane_slot.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/workbench.h"

namespace fastserve::engine {

class Scheduler {
 public:
  // Executor i writes stats shard `first_writer + i`, the timekeeper the one after the last.
  Scheduler(int executors, size_t first_writer);
  // Queued requests complete with kUnavailable; running batches finish first.
  ~Scheduler();

  // Threads that write statistics.
  size_t writers() const { return static_cast<size_t>(executors_) + 1; }

  // Thread: any port's. All of one version.
  void enqueue(Version& version, std::span<Request* const> requests);
  // See Port::cancel.
  bool cancel(Request* request, Failure why);

  // How long a request of `version` and `level` that arrived now would wait for an executor,
  // predicted from the cost of what is queued and goes before it. A light version is not charged
  // for more than its fair share of a heavy one's queue.
  Nanos predicted_wait(const Version& version, uint32_t level) const;
  int64_t backlog_ns() const { return backlog_ns_.load(std::memory_order_relaxed); }
  uint64_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }

 private:
  void run_executor(size_t writer);
  void run_timekeeper(size_t writer);
  // Answers and empties `expired`. Without the lock.
  static void answer_expired(std::vector<Request*>* expired, size_t writer, Nanos now);
  // Under the lock. False when nothing is to run now; then *wait_until says when to look again.
  bool take(RunningBatch* batch, std::vector<Request*>* expired, Nanos now, Nanos* wait_until);
  void wake_postponed(Nanos now, Nanos* wait_until);
  // Delays, or moves to `expired`, what has waited as long as its policy allows.
  void end_waits(Nanos now, std::vector<Request*>* expired);
  void end_wait(Request* request);
  void start_wait(Version& version, Request* request);
  void unqueue(LaneSlot* slot, Request* request);
  LaneSlot& slot_for(Version& version, const Request& request);

  const int executors_;
  const size_t first_writer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  batch::RoundRobin round_;
  std::vector<LaneSlot*> postponed_;
  std::vector<int64_t> key_scratch_;
  TimerWheel waits_;               // queue timers
  std::vector<Request*> overdue_;  // within end_waits()
  std::condition_variable new_wait_;
  Nanos timekeeper_sleeps_until_ = 0;  // 0: it is awake and will look
  int idle_ = 0;
  bool is_stopping_ = false;
  std::atomic<int64_t> backlog_ns_{0};
  std::atomic<uint64_t> queued_bytes_{0};
  std::atomic<uint64_t> active_lanes_{0};
  std::vector<std::thread> threads_;
};

// The limits that a version's config gives its plans.
batch::PlanLimits plan_limits(const Version& version);

}  // namespace fastserve::engine
