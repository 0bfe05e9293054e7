#include "fastserve/engine/scheduler.h"

#include <algorithm>
#include <chrono>

#include "fastserve/engine/expiry.h"
#include "fastserve/engine/version.h"

namespace fastserve::engine {
namespace {

// What `rows` queued rows will cost when they run in full batches.
int64_t amortised_cost(const Version& version, uint32_t rows) {
  const uint32_t full = std::max(1u, version.config().max_rows);
  if (!version.config().is_batching || rows >= full) return version.cost().predict(rows);
  return version.cost().predict(full) * rows / full;
}

// Sleeps until `when`, or until woken.
void sleep_until(std::condition_variable* wake, std::unique_lock<std::mutex>* lock, Nanos when) {
  if (when == kNever) {
    wake->wait(*lock);
  } else {
    // steady_clock is CLOCK_MONOTONIC, the clock of `when`.
    wake->wait_until(*lock, std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when)));
  }
}

// Of a version with levels, the lane whose head is the most urgent: the turn of one is the turn of
// all. A lane that waits on account of max_delay asks for no turn.
LaneSlot* most_urgent(LaneSlot* turn) {
  const Version& version = *turn->version;
  if (!version.queue_rules().any() || version.has_one_lane()) return turn;
  LaneSlot* best = turn;
  for (const auto& slot : version.lanes) {
    if (slot->is_active && slot->lane.head()->rank < best->lane.head()->rank) best = slot.get();
  }
  return best;
}

}  // namespace

void make_lane_key(const Request& request, std::vector<int64_t>* key) {
  key->clear();
  for (const runtime::RunInput& input : request.inputs) {
    for (size_t axis = 1; axis < input.shape.rank(); ++axis) key->push_back(input.shape[axis]);
  }
}

batch::PlanLimits plan_limits(const Version& version) {
  const VersionConfig& config = version.config();
  return {
      .max_rows = config.max_rows, .max_delay = config.max_delay, .batching = config.is_batching};
}

Scheduler::Scheduler(int executors, size_t first_writer)
    : executors_(executors), first_writer_(first_writer), waits_(monotonic_now()) {
  for (int i = 0; i < executors; ++i) {
    threads_.emplace_back([this, i] { run_executor(first_writer_ + static_cast<size_t>(i)); });
  }
  threads_.emplace_back(
      [this] { run_timekeeper(first_writer_ + static_cast<size_t>(executors_)); });
}

Scheduler::~Scheduler() {
  std::vector<Request*> orphans;
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    wake_.notify_all();
    new_wait_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  {
    std::lock_guard lock(mutex_);
    for (LaneSlot* slot : postponed_) {
      slot->is_postponed = false;
      round_.activate(slot);
    }
    while (auto* turn = round_.choose([](const batch::Turn&) { return Nanos{0}; })) {
      auto* slot = static_cast<LaneSlot*>(turn);
      while (slot->lane.head() != nullptr) {
        auto* request = static_cast<Request*>(slot->lane.head());
        unqueue(slot, request);
        request->state = RequestState::kIdle;
        orphans.push_back(request);
      }
    }
  }
  const Status status(Code::kUnavailable, "Server is stopping, scheduler for model has stopped");
  for (Request* request : orphans) {
    Completion* completion = request->completion;
    completion->complete(*request, status, {}, Timing{});
    completion->flush_completions(1);
  }
}

LaneSlot& Scheduler::slot_for(Version& version, const Request& request) {
  auto add = [&version]() -> LaneSlot* {
    LaneSlot* slot = version.lanes.emplace_back(std::make_unique<LaneSlot>()).get();
    slot->version = &version;
    slot->weight = version.config().weight;
    slot->lane.set_ranks(version.queue_rules().ranks());
    return slot;
  };
  if (version.has_one_lane()) return version.lanes.empty() ? *add() : *version.lanes.front();
  make_lane_key(request, &key_scratch_);
  LaneSlot* empty = nullptr;
  for (const auto& slot : version.lanes) {
    if (slot->key == key_scratch_) return *slot;
    if (slot->lane.empty()) empty = slot.get();
  }
  if (empty == nullptr) empty = add();
  empty->key = key_scratch_;
  return *empty;
}

void Scheduler::enqueue(Version& version, std::span<Request* const> requests) {
  size_t wanted = 0;
  bool is_sooner = false;
  {
    std::lock_guard lock(mutex_);
    for (Request* request : requests) {
      LaneSlot& slot = slot_for(version, *request);
      slot.lane.push(request);
      request->lane = &slot;
      request->state = RequestState::kQueued;
      if (slot.is_postponed) {
        // It grew: whether to go on waiting is for the plan to say again.
        slot.is_postponed = false;
        std::erase(postponed_, &slot);
      }
      if (!slot.is_active) {
        round_.activate(&slot);
        active_lanes_.fetch_add(1, std::memory_order_relaxed);
      }
      version.queued_requests.fetch_add(1, std::memory_order_relaxed);
      version.queued_rows.fetch_add(request->rows, std::memory_order_relaxed);
      version.queued_bytes.fetch_add(request->bytes, std::memory_order_relaxed);
      queued_bytes_.fetch_add(request->bytes, std::memory_order_relaxed);
      backlog_ns_.fetch_add(amortised_cost(version, request->rows), std::memory_order_relaxed);
      if (version.queue_rules().any()) start_wait(version, request);
    }
    if (is_stopping_) return;
    is_sooner = waits_.next() < timekeeper_sleeps_until_;
    const uint64_t rows = version.queued_rows.load(std::memory_order_relaxed);
    const uint64_t batches = version.config().is_batching
                                 ? 1 + rows / std::max(1u, version.config().max_rows)
                                 : version.queued_requests.load(std::memory_order_relaxed);
    wanted = std::min<size_t>(static_cast<size_t>(idle_), batches);
  }
  for (size_t i = 0; i < wanted; ++i) wake_.notify_one();
  if (is_sooner) new_wait_.notify_one();
}

void Scheduler::start_wait(Version& version, Request* request) {
  version.queued_by_level[request->level].requests.fetch_add(1, std::memory_order_relaxed);
  version.queued_by_level[request->rank].rows.fetch_add(request->rows, std::memory_order_relaxed);
  request->queue_timer.set(
      [](Timer& timer, void* self, Nanos) {
        static_cast<Scheduler*>(self)->end_wait(static_cast<Request::QueueTimer&>(timer).request);
      },
      this);
  waits_.arm(request->queue_timer, request->wait_until);
}

void Scheduler::end_wait(Request* request) {
  auto* slot = static_cast<LaneSlot*>(request->lane);
  if (!is_to_be_delayed(*request)) {
    unqueue(slot, request);
    request->state = RequestState::kIdle;
    overdue_.push_back(request);
    return;
  }
  std::vector<LevelLoad>& load = slot->version->queued_by_level;
  load[request->rank].rows.fetch_sub(request->rows, std::memory_order_relaxed);
  slot->lane.remove(request);
  delay(request);
  slot->lane.push(request);
  load[request->rank].rows.fetch_add(request->rows, std::memory_order_relaxed);
}

void Scheduler::end_waits(Nanos now, std::vector<Request*>* expired) {
  waits_.advance(now);
  expired->insert(expired->end(), overdue_.begin(), overdue_.end());
  overdue_.clear();
}

void Scheduler::unqueue(LaneSlot* slot, Request* request) {
  Version& version = *slot->version;
  slot->lane.remove(request);
  request->lane = nullptr;
  version.queued_requests.fetch_sub(1, std::memory_order_relaxed);
  version.queued_rows.fetch_sub(request->rows, std::memory_order_relaxed);
  version.queued_bytes.fetch_sub(request->bytes, std::memory_order_relaxed);
  queued_bytes_.fetch_sub(request->bytes, std::memory_order_relaxed);
  if (version.queue_rules().any()) {
    std::vector<LevelLoad>& load = version.queued_by_level;
    load[request->level].requests.fetch_sub(1, std::memory_order_relaxed);
    load[request->rank].rows.fetch_sub(request->rows, std::memory_order_relaxed);
    waits_.disarm(request->queue_timer);
  }
  if (slot->lane.empty()) {
    if (slot->is_active) {
      round_.deactivate(slot);
      active_lanes_.fetch_sub(1, std::memory_order_relaxed);
    }
    if (slot->is_postponed) {
      slot->is_postponed = false;
      std::erase(postponed_, slot);
    }
  }
  // The curve moves between a request's coming and going, so the sum is mended when all is empty.
  const int64_t cost = amortised_cost(version, request->rows);
  if (queued_bytes_.load(std::memory_order_relaxed) == 0 && round_.empty() && postponed_.empty()) {
    backlog_ns_.store(0, std::memory_order_relaxed);
  } else {
    const int64_t left = backlog_ns_.load(std::memory_order_relaxed) - cost;
    backlog_ns_.store(std::max<int64_t>(0, left), std::memory_order_relaxed);
  }
}

bool Scheduler::cancel(Request* request, Failure why) {
  std::lock_guard lock(mutex_);
  if (request->state == RequestState::kQueued) {
    unqueue(static_cast<LaneSlot*>(request->lane), request);
    request->state = RequestState::kIdle;
    return true;
  }
  if (request->state == RequestState::kRunning && !request->is_abandoned) {
    request->is_abandoned = true;
    request->abandoned_as = why;
    RunningBatch* batch = request->batch;
    if (batch != nullptr && --batch->live == 0 && batch->runner != nullptr) {
      batch->runner->terminate();
    }
  }
  return false;
}

Nanos Scheduler::predicted_wait(const Version& version, uint32_t level) const {
  const int64_t all = backlog_ns_.load(std::memory_order_relaxed);
  const uint64_t lanes = std::max<uint64_t>(1, active_lanes_.load(std::memory_order_relaxed));
  const uint32_t full = std::max(1u, version.config().max_rows);
  const uint64_t rows = version.queued_rows_before(level);
  const int64_t own = version.cost().predict(full) * static_cast<int64_t>(rows) / full;
  // Fair sharing gives the lane at least one part in `lanes` of the executors.
  return std::min(all, own * static_cast<int64_t>(lanes)) / std::max(1, executors_);
}

void Scheduler::wake_postponed(Nanos now, Nanos* wait_until) {
  *wait_until = kNever;
  for (size_t i = 0; i < postponed_.size();) {
    LaneSlot* slot = postponed_[i];
    if (slot->run_at > now) {
      *wait_until = std::min(*wait_until, slot->run_at);
      ++i;
      continue;
    }
    slot->is_postponed = false;
    postponed_[i] = postponed_.back();
    postponed_.pop_back();
    round_.activate(slot);
    active_lanes_.fetch_add(1, std::memory_order_relaxed);
  }
}

bool Scheduler::take(RunningBatch* batch, std::vector<Request*>* expired, Nanos now,
                     Nanos* wait_until) {
  end_waits(now, expired);
  wake_postponed(now, wait_until);
  for (;;) {
    batch::Turn* turn = round_.choose([](const batch::Turn& candidate) {
      const auto* slot = static_cast<const LaneSlot*>(&candidate);
      const uint64_t rows = std::min<uint64_t>(slot->lane.rows(), slot->version->config().max_rows);
      return slot->version->cost().predict(static_cast<uint32_t>(std::max<uint64_t>(1, rows)));
    });
    if (turn == nullptr) return false;
    LaneSlot* slot = most_urgent(static_cast<LaneSlot*>(turn));
    Version& version = *slot->version;
    while (!slot->lane.empty() && cannot_be_met(*slot->lane.head(), version, now)) {
      auto* request = static_cast<Request*>(slot->lane.head());
      unqueue(slot, request);
      request->state = RequestState::kIdle;
      expired->push_back(request);
    }
    // What was refused may have been the most urgent.
    if (slot->lane.empty() || most_urgent(slot) != slot) continue;
    const batch::Plan plan = batch::plan(slot->lane, version.cost(), plan_limits(version), now);
    if (plan.reason == batch::Reason::kWait) {
      round_.deactivate(slot);
      active_lanes_.fetch_sub(1, std::memory_order_relaxed);
      slot->is_postponed = true;
      slot->run_at = plan.run_at;
      postponed_.push_back(slot);
      *wait_until = std::min(*wait_until, plan.run_at);
      continue;
    }
    round_.charge(turn, version.cost().predict(plan.rows));
    batch->members.clear();
    for (uint32_t i = 0; i < plan.count; ++i) {
      auto* request = static_cast<Request*>(slot->lane.head());
      unqueue(slot, request);
      request->state = RequestState::kRunning;
      request->batch = batch;
      batch->members.push_back(request);
    }
    batch->rows = plan.rows;
    batch->reason = plan.reason;
    batch->live = plan.count;
    batch->runner = nullptr;
    version.running_requests.fetch_add(plan.count, std::memory_order_relaxed);
    return true;
  }
}

void Scheduler::answer_expired(std::vector<Request*>* expired, size_t writer, Nanos now) {
  for (Request* request : *expired) {
    Completion* completion = request->completion;
    StatsShard& stats = request->version->stats(writer);
    complete_expired(request, &stats, now);
    completion->flush_completions(1);
  }
  expired->clear();
}

void Scheduler::run_timekeeper(size_t writer) {
  std::vector<Request*> expired;
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    const Nanos now = monotonic_now();
    end_waits(now, &expired);
    if (!expired.empty()) {
      lock.unlock();
      answer_expired(&expired, writer, now);
      lock.lock();
      continue;
    }
    timekeeper_sleeps_until_ = waits_.next();
    sleep_until(&new_wait_, &lock, timekeeper_sleeps_until_);
    timekeeper_sleeps_until_ = 0;
  }
}

void Scheduler::run_executor(size_t writer) {
  RunningBatch batch;
  std::vector<Request*> expired;
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    Nanos now = monotonic_now();
    Nanos wait_until = kNever;
    const bool has_batch = take(&batch, &expired, now, &wait_until);
    if (!expired.empty()) {
      lock.unlock();
      answer_expired(&expired, writer, now);
      lock.lock();
    }
    if (!has_batch) {
      if (is_stopping_) break;
      // Expired answers were given without the lock: look again before sleeping.
      if (!round_.empty()) continue;
      ++idle_;
      sleep_until(&wake_, &lock, wait_until);
      --idle_;
      continue;
    }

    // More is ready or will be: another executor looks, and recomputes how long it may sleep.
    if (idle_ > 0 && (!round_.empty() || !postponed_.empty())) wake_.notify_one();

    // Held by this thread too: the answers give back the requests' own references.
    const VersionHandle version = batch.members.front()->version;
    Workbench& bench = version->workbench(writer);
    if (bench.runner == nullptr) {
      lock.unlock();
      bench.prepare(*version);
      lock.lock();
    }
    batch.runner = bench.runner.get();
    const bool is_wanted = batch.live > 0;
    lock.unlock();

    Timing timing;
    timing.started = now;
    Status status;
    if (is_wanted) {
      status = bench.run(*version, batch, &timing);
      if (status.ok()) {
        version->observe_cost(batch.rows, timing.computed - timing.started, timing.computed);
      }
    } else {
      status = Status(Code::kCancelled, "every request of the batch was cancelled");
      timing.gathered = timing.computed = now;
    }

    lock.lock();
    batch.runner = nullptr;
    for (Request* request : batch.members) {
      request->batch = nullptr;
      request->state = RequestState::kIdle;
    }
    lock.unlock();
    version->running_requests.fetch_sub(batch.members.size(), std::memory_order_relaxed);
    bench.answer(*version, batch, status, timing, &version->stats(writer));
    lock.lock();
  }
}

}  // namespace fastserve::engine
