// The engine: what is served, the scheduler, its executors, and the ports through which fronts submit.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/engine/model_set.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/version.h"

namespace fastserve::engine {

struct EngineOptions {
  int executors = 2;
  size_t max_ports = 16;
  uint64_t max_queue_rows = 16'384;          // per version, unless it says otherwise
  uint64_t max_queue_bytes = 256ull << 20;   // per version, unless it says otherwise
  uint64_t max_total_queue_bytes = 1ull << 30;
  // A sweep's batch predicted to finish within this runs on the submitting thread: cheaper than two
  // wake-ups. 0 turns it off. Chosen with bench/inline.
  Nanos inline_budget = 500 * kMicrosecond;
};

class Scheduler;
class Port;

class Engine {
 public:
  explicit Engine(const EngineOptions& options);
  // Stops executors after the batches they run; queued requests complete with kUnavailable. Ports must be gone.
  ~Engine();

  const EngineOptions& options() const { return options_; }

  // Thread: control plane. Makes a version whose counters have a shard for every port and executor.
  VersionHandle make_version(VersionConfig config, std::shared_ptr<runtime::Session> session);
  // Replaces what is served, in one step. Ports see it at their next request.
  void publish(std::shared_ptr<const ModelSet> models);
  std::shared_ptr<const ModelSet> models() const;

  // A port for one submitting thread. At most options.max_ports live at once (null beyond).
  // `on_publish` is called on the publishing thread after each publish (for example to wake an idle
  // loop so that it calls Port::models and lets go of the old snapshot).
  std::unique_ptr<Port> open_port(Completion* completion, bool allow_inline,
                                  std::function<void()> on_publish);

  // Executors idle now, backlog in predicted nanoseconds.
  int64_t backlog_ns() const;
  uint64_t total_queued_bytes() const;

 private:
  friend class Port;
  const EngineOptions options_;
  mutable std::mutex models_mutex_;
  std::shared_ptr<const ModelSet> models_;
  std::atomic<uint64_t> generation_{0};
  std::vector<Port*> ports_;  // by writer index; under models_mutex_
  std::unique_ptr<Scheduler> scheduler_;
};

// Thread: the one that opened it, for everything.
class Port {
 public:
  ~Port();

  // The current snapshot; the reference is good until the next call.
  const ModelSet& models();

  // Admits `request` (version, inputs, rows, bytes, deadline, arrival set). kOk: its Completion will be
  // called exactly once, at flush() at the earliest. Otherwise it was refused and nothing will come:
  // kResourceExhausted (queue full, or predicted to miss its deadline; *retry_after is the predicted
  // wait), kDeadlineExceeded (already over).
  Status submit(Request* request, Nanos now, Nanos* retry_after);

  // The end of a sweep: runs tiny batches here, hands the rest to the executors.
  void flush();
  bool has_pending() const { return !pending_.empty(); }

  // Takes a request back. True: it was waiting, it is the caller's again and no completion will come.
  // False: it is running (a batch whose every member is cancelled is stopped) or its completion is on the way.
  bool cancel(Request* request);

  // Counts a request that failed before or beside the engine.
  void count_failure(Version* version, Failure failure, Nanos spent);
  // Counts what the front alone knows: reply and total time of a request that was answered.
  size_t writer() const { return writer_; }

 private:
  friend class Engine;
  Port(Engine* engine, Completion* completion, bool allow_inline, size_t writer,
       std::function<void()> on_publish);

  class InlineRunner;
  Engine* const engine_;
  Completion* const completion_;
  const bool allow_inline_;
  const size_t writer_;
  const std::function<void()> on_publish_;
  std::shared_ptr<const ModelSet> models_;
  uint64_t generation_ = UINT64_MAX;
  std::vector<Request*> pending_;
  std::unique_ptr<InlineRunner> inline_runner_;
};

}  // namespace fastserve::engine
