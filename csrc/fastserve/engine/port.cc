#include "fastserve/engine/port.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fastserve/batch/plan.h"
#include "fastserve/engine/engine.h"
#include "fastserve/engine/expiry.h"
#include "fastserve/engine/scheduler.h"
#include "fastserve/engine/workbench.h"

namespace fastserve::engine {
namespace {

Status queue_full(const Version& version, const std::string& what, uint64_t got, uint64_t limit) {
  return {Code::kResourceExhausted, "Exceeds maximum queue size: model '" + version.config().model +
                                        "' holds " + std::to_string(got) + " " + what +
                                        " of at most " + std::to_string(limit) +
                                        "; retry later or raise the limit in model.toml"};
}

void forget_pending(Workbench* bench) {
  bench->pending.clear();
  bench->pending_rows = 0;
  bench->pending_bytes = 0;
  std::ranges::fill(bench->pending_at_level, 0);
}

}  // namespace

Port::Port(Engine* engine, Completion* completion, bool allow_inline, size_t writer,
           std::function<void()> on_publish)
    : engine_(engine),
      completion_(completion),
      allow_inline_(allow_inline),
      writer_(writer),
      on_publish_(std::move(on_publish)) {}

Port::~Port() {
  flush();
  engine_->close_port(this);
}

const ModelSet& Port::models() {
  const uint64_t generation = engine_->generation_.load(std::memory_order_acquire);
  if (generation != generation_) {
    std::lock_guard lock(engine_->models_mutex_);
    models_ = engine_->models_;
    generation_ = engine_->generation_.load(std::memory_order_relaxed);
  }
  return *models_;
}

void Port::want(std::string_view model, std::string_view version) {
  engine_->wanted().add(model, version);
}

void Port::count_failure(Version* version, Failure failure, Nanos spent) {
  StatsShard& stats = version->stats(writer_);
  stats.failures[static_cast<size_t>(failure)].add(1);
  stats.failure_ns.add(spent > 0 ? static_cast<uint64_t>(spent) : 0);
}

void Port::apply_queue_rules(Request* request, Nanos now) {
  const QueueRules& rules = request->version->queue_rules();
  request->level = rules.level_of(request->asked_priority);
  request->rank = request->level;
  const QueuePolicy& policy = rules.policy(request->level);
  if (policy.timeout > 0) {
    // Triton's rule: a policy's timeout can only be made shorter, and only where it allows that.
    const bool is_shorter = request->asked_timeout > 0 && request->asked_timeout < policy.timeout;
    const Nanos timeout =
        policy.allow_timeout_override && is_shorter ? request->asked_timeout : policy.timeout;
    request->wait_until = timeout > kNever - now ? kNever : now + timeout;
  } else if (request->asked_timeout > 0) {
    request->deadline = std::min(request->deadline, request->arrival + request->asked_timeout);
  }
}

bool Port::has_room(const Request& request, Refusal* refusal) const {
  const Version& version = *request.version;
  const VersionConfig& config = version.config();
  const EngineOptions& options = engine_->options();
  const Scheduler& scheduler = *engine_->scheduler_;
  const Workbench& bench = request.version->workbench(writer_);
  const uint64_t max_rows =
      config.max_queue_rows != 0 ? config.max_queue_rows : options.max_queue_rows;
  // A few bytes a row can become many in a model, so one request has a bound on rows too.
  if (request.rows > max_rows) {
    refusal->status = invalid_argument("a request of " + std::to_string(request.rows) +
                                       " rows is more than model '" + config.model +
                                       "' may queue, " + std::to_string(max_rows) +
                                       ": send it in parts, or raise max_queue_rows in model.toml");
    return false;
  }
  auto full = [&](const std::string& what, uint64_t got, uint64_t limit) {
    *refusal = {Failure::kQueueFull, scheduler.predicted_wait(version, request.level),
                queue_full(version, what, got, limit)};
    return false;
  };
  const uint64_t rows = version.queued_rows.load(std::memory_order_relaxed) + bench.pending_rows;
  if (rows + request.rows > max_rows) return full("rows", rows, max_rows);
  const uint64_t max_bytes =
      config.max_queue_bytes != 0 ? config.max_queue_bytes : options.max_queue_bytes;
  const uint64_t bytes = version.queued_bytes.load(std::memory_order_relaxed) + bench.pending_bytes;
  if (bytes > 0 && bytes + request.bytes > max_bytes) return full("bytes", bytes, max_bytes);
  const uint64_t total = scheduler.queued_bytes();
  if (total > 0 && total + request.bytes > options.max_total_queue_bytes) {
    return full("bytes with all other models", total, options.max_total_queue_bytes);
  }
  const QueueRules& rules = version.queue_rules();
  const uint64_t max_requests = rules.policy(request.level).max_requests;
  if (max_requests == 0) return true;
  const uint64_t waiting =
      version.queued_by_level[request.level].requests.load(std::memory_order_relaxed) +
      bench.pending_at_level[request.level];
  if (waiting < max_requests) return true;
  return full(rules.levels() == 1 ? "requests"
                                  : "requests of priority " + std::to_string(request.level + 1),
              waiting, max_requests);
}

bool Port::can_be_met(const Request& request, Nanos now, Refusal* refusal) const {
  const Version& version = *request.version;
  if (!version.has_fresh_cost(now)) return true;
  const Nanos wait = engine_->scheduler_->predicted_wait(version, request.level);
  const Nanos run = version.cost().predict(request.rows);
  if (now + wait + run <= request.deadline) return true;
  *refusal = {Failure::kOverloaded, wait,
              Status(Code::kResourceExhausted,
                     "model '" + version.config().model + "' is overloaded: predicted wait " +
                         std::to_string(wait / kMicrosecond) + " us and run " +
                         std::to_string(run / kMicrosecond) + " us do not fit the " +
                         std::to_string((request.deadline - now) / kMicrosecond) +
                         " us left until the deadline")};
  return false;
}

Status Port::submit(Request* request, Nanos now, Nanos* retry_after) {
  Version& version = *request->version;
  Workbench& bench = version.workbench(writer_);
  const bool has_rules = version.queue_rules().any();
  if (has_rules || request->asked_timeout > 0) apply_queue_rules(request, now);
  if (has_rules) bench.pending_at_level.resize(version.queue_rules().levels());
  *retry_after = 0;
  if (request->deadline <= now) {
    count_failure(&version, Failure::kExpired, now - request->arrival);
    return {Code::kDeadlineExceeded, "the deadline had passed when the request arrived"};
  }
  Refusal refusal;
  if (!has_room(*request, &refusal) ||
      (request->deadline != kNever && !can_be_met(*request, now, &refusal))) {
    *retry_after = refusal.retry_after;
    count_failure(&version, refusal.failure, now - request->arrival);
    return std::move(refusal.status);
  }

  if (bench.pending.empty()) touched_.emplace_back(&version);
  bench.pending.push_back(request);
  bench.pending_rows += request->rows;
  bench.pending_bytes += request->bytes;
  if (has_rules) ++bench.pending_at_level[request->level];
  request->is_pending = true;
  return ok_status();
}

bool Port::cancel(Request* request, Failure why) {
  Version* version = request->version.get();
  bool is_back = false;
  if (request->is_pending) {
    Workbench& bench = version->workbench(writer_);
    std::erase(bench.pending, request);
    bench.pending_rows -= request->rows;
    bench.pending_bytes -= request->bytes;
    if (!bench.pending_at_level.empty()) --bench.pending_at_level[request->level];
    request->is_pending = false;
    is_back = true;
  } else {
    is_back = engine_->scheduler_->cancel(request, why);
  }
  if (is_back) count_failure(version, why, monotonic_now() - request->arrival);
  return is_back;
}

bool Port::may_run_inline(Version& version, Nanos* budget) const {
  if (!allow_inline_ || !version.config().allow_inline || !version.cost().is_known()) return false;
  // What waits for an executor goes first.
  if (version.queued_requests.load(std::memory_order_relaxed) > 0) return false;
  const Workbench& bench = version.workbench(writer_);
  const uint64_t rows = bench.pending_rows;
  const uint32_t full = std::max(1u, version.config().max_rows);
  Nanos predicted = 0;
  if (version.config().is_batching) {
    predicted = static_cast<Nanos>(rows / full) * version.cost().predict(full);
    if (rows % full != 0) predicted += version.cost().predict(static_cast<uint32_t>(rows % full));
  } else {
    const auto each = static_cast<uint32_t>(std::max<uint64_t>(1, rows / bench.pending.size()));
    predicted = static_cast<Nanos>(bench.pending.size()) * version.cost().predict(each);
  }
  if (predicted > *budget) return false;
  *budget -= predicted;
  return true;
}

void Port::fill_lane(const Version& version, Workbench* bench) {
  auto move = [bench](Request* request) {
    request->is_pending = false;  // from here on its answer comes, cancelled or not
    bench->lane.push(request);
  };
  if (version.has_one_lane()) {
    std::ranges::for_each(bench->pending, move);
    bench->pending.clear();
    return;
  }
  const Nanos now = version.queue_rules().any() ? monotonic_now() : 0;
  for (Request* request : bench->pending) {
    if (request->wait_until <= now && is_to_be_delayed(*request)) delay(request);
  }
  // No less urgent request of this lane goes before a more urgent one of another.
  const Request* first = *std::ranges::min_element(
      bench->pending, {}, [](const Request* request) { return request->rank; });
  const uint32_t rank = first->rank;
  make_lane_key(*first, &key_);
  std::erase_if(bench->pending, [&](Request* request) {
    if (request->rank != rank) return false;
    make_lane_key(*request, &other_key_);
    if (key_ != other_key_) return false;
    move(request);
    return true;
  });
}

void Port::end_waits(Workbench* bench, StatsShard* stats, Nanos now) {
  for (batch::LaneEntry* entry = bench->lane.head(); entry != nullptr;) {
    auto* request = static_cast<Request*>(entry);
    entry = entry->next;
    if (request->wait_until > now) continue;
    bench->lane.remove(request);
    if (is_to_be_delayed(*request)) {
      delay(request);
      bench->lane.push(request);
    } else {
      complete_expired(request, stats, now);
      completion_->flush_completions(1);
    }
  }
}

void Port::run_inline(Version& version) {
  Workbench& bench = version.workbench(writer_);
  StatsShard& stats = version.stats(writer_);
  bench.prepare(version);
  batch::PlanLimits limits = plan_limits(version);
  limits.max_delay = 0;  // nothing waits on this thread
  batch::Lane& lane = bench.lane;
  while (!bench.pending.empty() || !lane.empty()) {
    if (lane.empty()) fill_lane(version, &bench);
    const Nanos now = monotonic_now();
    if (version.queue_rules().any()) end_waits(&bench, &stats, now);
    if (lane.empty()) continue;
    if (cannot_be_met(*lane.head(), version, now)) {
      auto* request = static_cast<Request*>(lane.head());
      lane.remove(request);
      complete_expired(request, &stats, now);
      completion_->flush_completions(1);
      continue;
    }
    const batch::Plan plan = batch::plan(lane, version.cost(), limits, now);
    RunningBatch& batch = bench.batch;
    batch.members.clear();
    for (uint32_t i = 0; i < plan.count; ++i) {
      auto* request = static_cast<Request*>(lane.head());
      lane.remove(request);
      batch.members.push_back(request);
    }
    batch.rows = plan.rows;
    batch.reason = plan.reason;
    Timing timing;
    timing.started = now;
    const Status status = bench.run(version, batch, &timing);
    if (status.ok()) {
      version.observe_cost(batch.rows, timing.computed - timing.started, timing.computed);
    }
    bench.answer(version, batch, status, timing, &stats);
  }
  // Not before: an answer may take back what is still pending.
  forget_pending(&bench);
}

void Port::flush() {
  if (touched_.empty()) return;
  Nanos budget = engine_->options().inline_budget;
  for (VersionHandle& version : touched_) {
    Workbench& bench = version->workbench(writer_);
    if (bench.pending.empty()) continue;  // all were cancelled within the sweep
    if (version->config().max_delay == 0 && may_run_inline(*version, &budget)) {
      run_inline(*version);
      continue;
    }
    for (Request* request : bench.pending) request->is_pending = false;
    engine_->scheduler_->enqueue(*version, bench.pending);
    forget_pending(&bench);
  }
  touched_.clear();
}

}  // namespace fastserve::engine
