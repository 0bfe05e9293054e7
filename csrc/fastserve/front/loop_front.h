// A front that lives on an io loop: serves the calls of that loop's connections. net/ drives it and
// knows nothing else of it.
#pragma once

#include <functional>
#include <memory>

#include "fastserve/base/clock.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

// Thread: the io thread, but for what is said of `wake`.
class LoopFront : public grpc::Front {
 public:
  // After wake() was asked for: answers that other threads finished, commands from the bridge.
  virtual void run_inbox(Nanos now) = 0;
  // Every ready connection was read: run due timers, plan and run small batches, hand over the
  // rest. Connections are written right after.
  virtual void end_sweep(Nanos now) = 0;
  // The loop sleeps until this at the latest; kNever when nothing is timed.
  virtual Nanos next_timer() const = 0;
  // Some call waits for an executor or for the control plane, whose answer comes by wake().
  virtual bool has_calls_elsewhere() const = 0;
  // The server began to drain: new calls are refused with kUnavailable from now on.
  virtual void start_drain() = 0;
};

// Makes the front of io thread `index`. `wake` may be called from any thread and any number of
// times: soon after, the io thread calls run_inbox(). It is cheap when a wake-up is already under
// way.
using LoopFrontFactory =
    std::function<std::unique_ptr<LoopFront>(int index, std::function<void()> wake)>;

}  // namespace fastserve::front
