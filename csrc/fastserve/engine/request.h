// One inference as the engine sees it, and where its answer goes. The engine knows no protocol.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/batch/lane.h"
#include "fastserve/engine/stats.h"
#include "fastserve/engine/version.h"
#include "fastserve/runtime/session.h"
#include "fastserve/tensor/tensor_view.h"

namespace fastserve::engine {

struct Request;

struct Timing {
  Nanos started = 0;   // taken from the queue
  Nanos gathered = 0;  // inputs joined
  Nanos computed = 0;  // run finished
};

// Where answers go. One object per submitting thread; it outlives its requests.
class Completion {
 public:
  virtual ~Completion() = default;
  // The one answer of `request`. Outputs are those wanted, in the asked order, and valid only
  // during the call; empty unless status is ok. On an executor thread, or on the submitting thread
  // for requests that ran inline. The request belongs to the front again when this returns.
  virtual void complete(Request& request, const Status& status, std::span<const TensorView> outputs,
                        const Timing& timing) = 0;
  // After a run of `count` complete() calls on one thread: wake whoever sends the answers. The last
  // touch of this object by that thread.
  virtual void flush_completions(size_t count) = 0;
};

// Filled by the front, then owned by the engine from submit() to complete(). Intrusive in lanes.
// What the scheduler does with it, written under its lock: idle -> queued -> running -> idle. A
// request that runs on its port's own thread stays idle here.
enum class RequestState : uint8_t { kIdle, kQueued, kRunning };

struct RunningBatch;

struct Request : batch::LaneEntry {
  Request() { queue_timer.request = this; }

  VersionHandle version;
  // What the client calls it; empty: nothing. Points into the front's memory.
  std::string_view id;
  // In the signature's order; views into memory that the front keeps until complete().
  std::vector<runtime::RunInput> inputs;
  // Indices of wanted outputs in reply order; empty = all, in the signature's order.
  std::vector<uint32_t> wanted;
  Completion* completion = nullptr;
  // What the client asks of the queue; what becomes of it is for the version's QueueRules to say.
  uint32_t asked_priority = 0;  // 1 is the most urgent; 0: the default
  Nanos asked_timeout = 0;      // 0: none
  // Set by Port::submit: the priority level, and when the time in the queue is over.
  uint32_t level = 0;
  Nanos wait_until = kNever;
  struct QueueTimer : Timer {
    Request* request = nullptr;
  };
  QueueTimer queue_timer;   // armed while queued with a bound on it
  bool is_pending = false;  // in its port's sweep; the port's thread only
  RequestState state = RequestState::kIdle;
  void* lane = nullptr;           // LaneSlot while queued
  RunningBatch* batch = nullptr;  // while running
  // Set by cancel() when it came too late to take the request back: its answer is not wanted, and
  // it counts as this failure. Read by complete() to spare the reply.
  bool is_abandoned = false;
  Failure abandoned_as = Failure::kCancelled;

  void reset() {
    version = VersionHandle();
    id = {};
    inputs.clear();
    wanted.clear();
    is_pending = false;
    state = RequestState::kIdle;
    is_abandoned = false;
    rows = 1;
    bytes = 0;
    rank = 0;
    asked_priority = 0;
    asked_timeout = 0;
    level = 0;
    wait_until = kNever;
    deadline = kNever;
  }
};

}  // namespace fastserve::engine
