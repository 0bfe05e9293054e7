// The bridge to the control plane: calls whose method is not hot reach Python as events, and Python's
// answers come back as commands to the io thread that owns the call.
//
// Any method path may pass; the bridge knows no method. A call has a 64-bit id that is never reused.
// Commands for a call that is gone are dropped: Python may answer late without harm. Nothing here
// waits for Python: a slow coroutine costs its own caller and nobody else; what a call may hold
// unread is bounded by its flow-control window.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

using OwnedMetadata = std::vector<std::pair<std::string, std::string>>;

struct BridgeEvent {
  enum class Kind : uint8_t { kStart, kMessage, kHalfClose, kCancelled, kWritable };
  Kind kind = Kind::kStart;
  uint64_t call = 0;
  // kStart only.
  std::string path;
  std::string peer;
  Nanos deadline = kNever;
  OwnedMetadata metadata;
  // kMessage only.
  Buffer message;
};

struct BridgeCommand {
  enum class Kind : uint8_t { kInitialMetadata, kMessage, kFinish, kCredit, kCompress };
  Kind kind = Kind::kMessage;
  uint64_t call = 0;
  OwnedMetadata metadata;  // initial, or trailers of kFinish
  Buffer message;          // with grpc::kMessageHeadroom in front
  Status status;           // kFinish
  size_t credit_bytes = 0; // kCredit
};

// Shared by all io threads and the control plane's thread.
class Bridge {
 public:
  Bridge();
  ~Bridge();

  // Readable while events wait. Thread: control plane.
  int event_fd() const { return event_fd_; }
  // Moves all waiting events to *events (cleared first). Thread: control plane.
  void take_events(std::vector<BridgeEvent>* events);
  // Thread: control plane. Never blocks on an io thread.
  void send(BridgeCommand command);

 private:
  friend class BridgePort;
  int event_fd_ = -1;
  // The implementer completes this.
};

// One io thread's end of the bridge: owns the BridgeCalls of that thread. ThreadFront forwards the
// grpc::Front events of calls that are not hot, and run_inbox().
class BridgePort;

}  // namespace fastserve::front
