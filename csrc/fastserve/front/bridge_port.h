// One io thread's end of the bridge. A LoopFront embeds it, forwards the events of calls whose
// method is not hot, calls run_inbox(), and advances the wheel that it lent.
//
// Thread: the io thread, from construction to destruction.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/front/bridge.h"
#include "fastserve/grpc/call.h"

namespace fastserve::front {

class BridgePort {
 public:
  // `index` is the io thread's number, below kMaxBridgePorts and used by one port at a time. `wake`
  // may be called from any thread until the destructor returns: run_inbox() soon after. `bridge`
  // and `wheel` outlive the port; deadlines are enforced inside wheel->advance().
  BridgePort(Bridge* bridge, int index, TimerWheel* wheel, std::function<void()> wake);
  ~BridgePort();  // no call of it is open any more
  BridgePort(const BridgePort&) = delete;
  BridgePort& operator=(const BridgePort&) = delete;

  // The port marks its calls by the lowest bit of Call::user, which is clear in every pointer that
  // another owner of calls puts there.
  static bool owns(const grpc::Call& call) {
    return (reinterpret_cast<uintptr_t>(call.user) & 1) != 0;
  }

  // The events of grpc::Front, for calls that are the port's: on_call makes a call the port's.
  void on_call(grpc::Call& call);
  void on_message(grpc::Call& call, Buffer& message);
  void on_half_close(grpc::Call& call);
  void on_writable(grpc::Call& call);
  void on_closed(grpc::Call& call, bool cancelled);

  // Carries out the commands that Python sent.
  void run_inbox(Nanos now);

  size_t open_calls() const { return open_calls_; }
  // The io thread's number inside a call id.
  static int index_of(uint64_t id) { return static_cast<int>(id >> (kSlotBits + kGenerationBits)); }

 private:
  // A call id is index (8 bits), slot (20), generation (36): a slot is used again with the next
  // generation and retired after the last, so that no id comes twice.
  static constexpr int kSlotBits = 20;
  static constexpr int kGenerationBits = 36;
  static constexpr uint64_t kLastGeneration = (uint64_t{1} << kGenerationBits) - 1;
  static constexpr size_t kMaxSlots = size_t{1} << kSlotBits;

  struct BridgeCall {
    BridgePort* port = nullptr;
    grpc::Call* call = nullptr;  // null: the slot is free
    uint64_t id = 0;
    Timer deadline;
    size_t sent_bytes = 0;         // since the start or the last kWritable
    bool is_waiting_peer = false;  // a kWritable is owed when the peer reads
    bool is_over = false;          // finished, or Python was told kCancelled: no more events
  };

  static BridgeCall* bridge_call(const grpc::Call& call) {
    return reinterpret_cast<BridgeCall*>(reinterpret_cast<uintptr_t>(call.user) & ~uintptr_t{1});
  }
  static void on_deadline(Timer& timer, void* owner, Nanos now);

  BridgeCall* acquire();
  void release(BridgeCall* slot);
  BridgeCall* find(uint64_t id);
  void run(BridgeCommand& command);
  void send_message(BridgeCall* slot, Buffer message);
  void post(BridgeCall* slot, BridgeEvent::Kind kind);

  Bridge* const bridge_;
  const uint64_t index_;
  TimerWheel* const wheel_;
  std::vector<std::unique_ptr<BridgeCall>> slots_;
  std::vector<BridgeCall*> free_;
  std::vector<BridgeCommand> commands_;  // kept for its capacity
  size_t open_calls_ = 0;
};

}  // namespace fastserve::front
