// The bridge to the control plane: calls whose method is not hot reach Python as events, and
// Python's answers come back as commands to the io thread that owns the call.
//
// Any method path may pass; the bridge knows no method. A call has a 64-bit id that is never
// reused. Commands for a call that is gone are dropped: Python may answer late without harm.
// Nothing here waits for Python: a slow coroutine costs its own caller and nobody else; what a call
// may hold unread is bounded by its flow-control window, and calls beyond kMaxWaitingCalls that
// Python has not taken yet are refused.
//
// Events of one call come in order: kStart, then kMessage and kHalfClose; kCancelled is the last
// one and comes only while Python has not finished the call (reset, lost connection, deadline).
// After kFinish was sent, nothing more comes for the call.
//
// Sending is paced by kWritable: a sender that has sent more than kWritableWindowBytes of messages
// since the call began, or since the last kWritable, waits for the next kWritable. One always
// comes: at once when the peer reads, else when it reads again.
#pragma once

#include <array>
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
#include "fastserve/front/mailbox.h"
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
  OwnedMetadata metadata;   // initial, or trailers of kFinish
  Buffer message;           // with grpc::kMessageHeadroom in front
  Status status;            // kFinish
  size_t credit_bytes = 0;  // kCredit
};

// Messages that may be on their way to a peer unasked (see above).
inline constexpr size_t kWritableWindowBytes = 256 * 1024;
// Calls that wait for Python to take their kStart, over all io threads.
inline constexpr int64_t kMaxWaitingCalls = 8192;
// Io threads that one bridge can tell apart.
inline constexpr int kMaxBridgePorts = 256;

// Shared by all io threads and the control plane's thread.
class Bridge {
 public:
  Bridge();
  ~Bridge();  // every BridgePort is gone
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  // Readable while events wait; -1 when the system gave no descriptor.
  // Thread: control plane.
  int event_fd() const { return event_fd_; }
  // Moves all waiting events to *events (cleared first). Thread: control plane.
  void take_events(std::vector<BridgeEvent>* events);
  // Thread: any one at a time per call. Never blocks on an io thread.
  void send(BridgeCommand command);

 private:
  friend class BridgePort;

  // One io thread's commands. `mutex` keeps `wake` alive while it is called; the io thread takes it
  // only to open and to close its port.
  struct Inbox {
    std::mutex mutex;
    std::function<void()> wake;  // empty: no port
    Mailbox<BridgeCommand> commands;
  };

  // Thread: the port's io thread.
  void post(BridgeEvent event);
  bool may_start() const {
    return waiting_calls_.load(std::memory_order_relaxed) < kMaxWaitingCalls;
  }

  int event_fd_ = -1;
  Mailbox<BridgeEvent> events_;
  std::atomic<int64_t> waiting_calls_{0};
  std::array<Inbox, kMaxBridgePorts> inboxes_;
};

// One io thread's end of the bridge: owns the BridgeCalls of that thread. ThreadFront forwards the
// grpc::Front events of calls that are not hot, and run_inbox().
class BridgePort;

}  // namespace fastserve::front
