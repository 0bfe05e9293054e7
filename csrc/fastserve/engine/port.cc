#include "fastserve/engine/port.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fastserve/batch/plan.h"
#include "fastserve/engine/engine.h"
#include "fastserve/engine/scheduler.h"
#include "fastserve/engine/workbench.h"

namespace fastserve::engine {
namespace {

std::string queue_full(const Version& version, const char* what, uint64_t got, uint64_t limit) {
  return "Exceeds maximum queue size: model '" + version.config().model + "' holds " +
         std::to_string(got) + " " + what + " of at most " + std::to_string(limit) +
         "; retry later or raise the limit in model.toml";
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

Status Port::submit(Request* request, Nanos now, Nanos* retry_after) {
  Version& version = *request->version;
  const VersionConfig& config = version.config();
  const EngineOptions& options = engine_->options();
  Workbench& bench = version.workbench(writer_);
  *retry_after = 0;
  auto refuse = [&](Failure failure, Code code, std::string message) {
    count_failure(&version, failure, now - request->arrival);
    return Status(code, std::move(message));
  };

  if (request->deadline <= now) {
    return refuse(Failure::kExpired, Code::kDeadlineExceeded,
                  "the deadline had passed when the request arrived");
  }
  const uint64_t max_rows =
      config.max_queue_rows != 0 ? config.max_queue_rows : options.max_queue_rows;
  const uint64_t rows = version.queued_rows.load(std::memory_order_relaxed) + bench.pending_rows;
  const Scheduler& scheduler = *engine_->scheduler_;
  // A few bytes a row can become many in a model, so one request has a bound on rows too.
  if (request->rows > max_rows) {
    return refuse(Failure::kInvalid, Code::kInvalidArgument,
                  "a request of " + std::to_string(request->rows) + " rows is more than model '" +
                      config.model + "' may queue, " + std::to_string(max_rows) +
                      ": send it in parts, or raise max_queue_rows in model.toml");
  }
  if (rows + request->rows > max_rows) {
    *retry_after = scheduler.predicted_wait(version);
    return refuse(Failure::kQueueFull, Code::kResourceExhausted,
                  queue_full(version, "rows", rows, max_rows));
  }
  const uint64_t max_bytes =
      config.max_queue_bytes != 0 ? config.max_queue_bytes : options.max_queue_bytes;
  const uint64_t bytes = version.queued_bytes.load(std::memory_order_relaxed) + bench.pending_bytes;
  if (bytes > 0 && bytes + request->bytes > max_bytes) {
    *retry_after = scheduler.predicted_wait(version);
    return refuse(Failure::kQueueFull, Code::kResourceExhausted,
                  queue_full(version, "bytes", bytes, max_bytes));
  }
  const uint64_t total = scheduler.queued_bytes();
  if (total > 0 && total + request->bytes > options.max_total_queue_bytes) {
    *retry_after = scheduler.predicted_wait(version);
    return refuse(
        Failure::kQueueFull, Code::kResourceExhausted,
        queue_full(version, "bytes with all other models", total, options.max_total_queue_bytes));
  }
  if (request->deadline != kNever && version.has_fresh_cost(now)) {
    const Nanos wait = scheduler.predicted_wait(version);
    const Nanos run = version.cost().predict(request->rows);
    if (now + wait + run > request->deadline) {
      *retry_after = wait;
      return refuse(Failure::kOverloaded, Code::kResourceExhausted,
                    "model '" + config.model + "' is overloaded: predicted wait " +
                        std::to_string(wait / kMicrosecond) + " us and run " +
                        std::to_string(run / kMicrosecond) + " us do not fit the " +
                        std::to_string((request->deadline - now) / kMicrosecond) +
                        " us left until the deadline");
    }
  }

  if (bench.pending.empty()) touched_.emplace_back(&version);
  bench.pending.push_back(request);
  bench.pending_rows += request->rows;
  bench.pending_bytes += request->bytes;
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

void Port::run_inline(Version& version) {
  Workbench& bench = version.workbench(writer_);
  StatsShard& stats = version.stats(writer_);
  bench.prepare(version);
  const batch::PlanLimits limits = plan_limits(version);
  bench.pending_rows = 0;
  bench.pending_bytes = 0;
  std::vector<int64_t> key;
  std::vector<int64_t> other_key;
  while (!bench.pending.empty()) {
    batch::Lane& lane = bench.lane;
    if (version.has_one_lane()) {
      for (Request* request : bench.pending) {
        request->is_pending = false;  // from here on its answer comes, cancelled or not
        lane.push(request);
      }
      bench.pending.clear();
    } else {
      make_lane_key(*bench.pending.front(), &key);
      std::erase_if(bench.pending, [&](Request* request) {
        make_lane_key(*request, &other_key);
        if (key != other_key) return false;
        request->is_pending = false;
        lane.push(request);
        return true;
      });
    }
    while (!lane.empty()) {
      const Nanos now = monotonic_now();
      if (cannot_be_met(*lane.head(), version, now)) {
        auto* request = static_cast<Request*>(lane.head());
        lane.remove(request);
        complete_expired(request, &stats, now);
        completion_->flush_completions(1);
        continue;
      }
      batch::PlanLimits now_limits = limits;
      now_limits.max_delay = 0;  // nothing waits on this thread
      const batch::Plan plan = batch::plan(lane, version.cost(), now_limits, now);
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
  }
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
    bench.pending.clear();
    bench.pending_rows = 0;
    bench.pending_bytes = 0;
  }
  touched_.clear();
}

}  // namespace fastserve::engine
