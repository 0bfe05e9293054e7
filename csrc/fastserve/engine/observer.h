// Takes what serving threads tell of their batches to those who listen, on a thread of its own.
//
// A serving thread copies a batch's rows into the block that it holds, which costs it a few hundred
// nanoseconds and two atomic exchanges; it never waits, allocates or wakes anybody. The observer's
// thread, at low priority, comes round every few milliseconds, takes full blocks and those that are
// being filled, and tells the sinks. There is a fixed number of blocks: while none is free, batches
// are skipped, and counted by their sink.
//
// Of batches whose rows are too large for a block (images), samples are told: one request of a
// batch, and those chosen for capture, in one of a few large blocks, as long as their bytes stay
// within a budget for each second. Outputs that are small are told all the same.
//
// Who is told what, and when: the requests of one thread in their order, but for a block that fills
// up while the observer comes round. What a request's batch told is there to be swept before its
// answer is.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/engine/block_stack.h"
#include "fastserve/engine/observation.h"
#include "fastserve/engine/observation_block.h"

namespace fastserve::engine {

struct ObserverOptions {
  // 8 MiB: what 180,000 small requests a second write in 250 ms, on the machine of bench/run.py.
  uint32_t blocks = 128;
  size_t block_bytes = 64 * 1024;
  uint32_t large_blocks = 4;
  size_t max_large_bytes = 32ull << 20;
  // Of large observations, over all threads; copying them costs the serving threads time.
  uint64_t large_bytes_per_second = 64ull << 20;
  Nanos pause = 10 * kMillisecond;
};

class Observer {
 public:
  // `writers`: how many threads may tell, each by its number.
  Observer(size_t writers, const ObserverOptions& options);
  // Tells what is left. Nobody may tell any more.
  ~Observer();
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  const ObserverOptions& options() const { return options_; }

  // Thread: control plane. The number by which serving threads name the sink.
  uint32_t add(std::shared_ptr<ObservationSink> sink);
  // Tells the sink what is left for it and lets go of it. No serving thread names it any more.
  void remove(uint32_t sink);
  // Comes round at once, on the calling thread: returns when all that had been told before the call
  // has arrived. Thread: control plane.
  void sweep();

  // Passes the observation on. False: there was no room, and nothing was.
  // Thread: the serving thread with that number.
  bool tell(size_t writer, uint32_t sink, const Observation& observation);
  // Whether `bytes` more of large observations are within this second's budget; takes them from it.
  // Thread: any serving thread.
  bool may_copy(uint64_t bytes, Nanos now);

 private:
  static constexpr uint32_t kNone = BlockStack::kNone;
  // Of a slot: its thread writes into its block just now.
  static constexpr uint32_t kWriting = kNone - 1;

  struct Slot;

  bool tell_large(uint32_t sink, const Observation& observation);
  void run();
  // Under sweeping_. True when something was told. A block that is being written to is waited for,
  // or left for the next round.
  bool sweep_blocks(bool waits);
  uint32_t take_block(Slot& slot, bool waits);
  void empty(uint32_t number);

  const ObserverOptions options_;
  std::vector<ObservationBlock> blocks_;  // small ones, then large ones
  BlockStack free_;
  BlockStack free_large_;
  BlockStack full_;
  struct alignas(64) Slot {
    std::atomic<uint32_t> block{kNone};
  };
  std::vector<Slot> slots_;
  std::atomic<Nanos> budget_since_{0};
  std::atomic<uint64_t> budget_used_{0};

  std::mutex sweeping_;
  ObservationReader reader_;            // under sweeping_
  std::vector<uint32_t> full_scratch_;  // likewise
  std::vector<uint32_t> slot_scratch_;  // likewise
  // Under sweeping_: told only there.
  std::unordered_map<uint32_t, std::shared_ptr<ObservationSink>> sinks_;
  uint32_t next_sink_ = 0;

  std::mutex stop_mutex_;
  std::condition_variable stop_;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace fastserve::engine
