// The engine: what is served, the scheduler, its executors, and the ports through which fronts
// submit.
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
#include "fastserve/engine/observer.h"
#include "fastserve/engine/port.h"
#include "fastserve/engine/reaper.h"
#include "fastserve/engine/request.h"
#include "fastserve/engine/shadow_thread.h"
#include "fastserve/engine/version.h"
#include "fastserve/engine/wanted.h"

namespace fastserve::engine {

struct EngineOptions {
  int executors = 2;
  size_t max_ports = 16;
  uint64_t max_queue_rows = 16'384;         // per version, unless it says otherwise
  uint64_t max_queue_bytes = 256ull << 20;  // per version, unless it says otherwise
  uint64_t max_total_queue_bytes = 1ull << 30;
  // A sweep's batch predicted to finish within this runs on the submitting thread: cheaper than two
  // wake-ups. 0 turns it off. Chosen with bench/inline.
  Nanos inline_budget = 500 * kMicrosecond;
  ObserverOptions observer = {};
};

class Scheduler;

class Engine {
 public:
  explicit Engine(const EngineOptions& options);
  // Stops executors after the batches they run; queued requests complete with kUnavailable. Ports
  // must be gone.
  ~Engine();

  const EngineOptions& options() const { return options_; }

  // Thread: control plane. Makes a version whose counters have a shard for every thread that may
  // serve it. Errors: kInvalidArgument (see QueueRules::make and Reshapes::make).
  Result<VersionHandle> make_version(VersionConfig config,
                                     std::shared_ptr<runtime::Session> session);
  // What tells the sinks of watched versions.
  Observer& observer() { return *observer_; }
  // Runs candidates beside what is served; made at the first call. Thread: control plane.
  std::shared_ptr<ShadowThread> shadow_thread();
  // Threads that may serve: the writers of counters and of routes.
  size_t writers() const;
  // Replaces what is served, in one step. Ports see it at their next request.
  void publish(std::shared_ptr<const ModelSet> models);
  // What requests asked for and is loaded on demand. Thread: any.
  Wanted& wanted() { return wanted_; }
  std::shared_ptr<const ModelSet> models() const;

  // A port for one submitting thread. At most options.max_ports live at once (null beyond).
  // `on_publish` is called on the publishing thread after each publish (for example to wake an idle
  // loop so that it calls Port::models and lets go of the old snapshot).
  std::unique_ptr<Port> open_port(Completion* completion, bool allow_inline,
                                  std::function<void()> on_publish);

  // Executors idle now, backlog in predicted nanoseconds.
  int64_t backlog_ns() const;
  // Versions that nobody holds any more and that are being destroyed.
  size_t dying_versions() const { return reaper_->pending(); }
  uint64_t total_queued_bytes() const;
  // Runs `rows` synthesised rows once on the calling thread, outside the queue, teaches the
  // version's cost curve and returns the time. Thread: control plane, one at a time per version.
  Result<Nanos> warm_up(Version& version, uint32_t rows);

 private:
  friend class Port;
  void close_port(Port* port);

  const EngineOptions options_;
  mutable std::mutex models_mutex_;
  std::shared_ptr<const ModelSet> models_;
  std::atomic<uint64_t> generation_{0};
  std::vector<Port*> ports_;  // by writer index; under models_mutex_
  Wanted wanted_;
  const std::shared_ptr<Reaper> reaper_;
  std::shared_ptr<Observer> observer_;
  std::unique_ptr<Scheduler> scheduler_;
  std::shared_ptr<ShadowThread> shadow_thread_;  // under models_mutex_
};

}  // namespace fastserve::engine
