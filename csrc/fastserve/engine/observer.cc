#include "fastserve/engine/observer.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace fastserve::engine {
namespace {

// Serving goes first where there is one core for both.
constexpr int kNice = 10;
// A round that found nothing makes the next pause longer, up to so many times.
constexpr int kMaxPauses = 8;

}  // namespace

Observer::Observer(size_t writers, const ObserverOptions& options)
    : options_(options),
      blocks_(options.blocks + options.large_blocks),
      free_(options.blocks),
      free_large_(options.blocks + options.large_blocks),
      full_(options.blocks + options.large_blocks),
      slots_(writers) {
  for (uint32_t number = options_.blocks; number-- > 0;) free_.push(number);
  for (uint32_t number = 0; number < options_.large_blocks; ++number) {
    free_large_.push(options_.blocks + number);
  }
  thread_ = std::thread([this] { run(); });
}

Observer::~Observer() {
  {
    std::lock_guard lock(stop_mutex_);
    is_stopping_ = true;
    stop_.notify_one();
  }
  thread_.join();
  sweep();
}

uint32_t Observer::add(std::shared_ptr<ObservationSink> sink) {
  std::lock_guard lock(sweeping_);
  const uint32_t number = next_sink_++;
  sinks_.emplace(number, std::move(sink));
  return number;
}

void Observer::remove(uint32_t sink) {
  std::shared_ptr<ObservationSink> removed;  // destroyed without the lock
  std::lock_guard lock(sweeping_);
  sweep_blocks(true);
  const auto found = sinks_.find(sink);
  if (found == sinks_.end()) return;
  removed = std::move(found->second);
  sinks_.erase(found);
}

void Observer::sweep() {
  std::lock_guard lock(sweeping_);
  sweep_blocks(true);
}

bool Observer::tell(size_t writer, uint32_t sink, const Observation& observation) {
  const size_t bytes = ObservationBlock::record_bytes(observation);
  if (bytes > options_.block_bytes) return tell_large(sink, observation);
  std::atomic<uint32_t>& slot = slots_[writer].block;
  uint32_t number = slot.exchange(kWriting, std::memory_order_acquire);
  if (number != kNone && !blocks_[number].has_room(bytes)) {
    full_.push(std::exchange(number, kNone));
  }
  if (number == kNone) {
    number = free_.pop();
    if (number == kNone) {
      slot.store(kNone, std::memory_order_release);
      return false;
    }
    // The memory of blocks that were never needed is never touched.
    blocks_[number].reserve(options_.block_bytes);
  }
  blocks_[number].append(sink, observation);
  slot.store(number, std::memory_order_release);
  return true;
}

bool Observer::tell_large(uint32_t sink, const Observation& observation) {
  const size_t bytes = ObservationBlock::record_bytes(observation);
  if (bytes > options_.max_large_bytes) return false;
  const uint32_t number = free_large_.pop();
  if (number == kNone) return false;
  blocks_[number].reserve(bytes);
  blocks_[number].append(sink, observation);
  full_.push(number);
  return true;
}

bool Observer::may_copy(uint64_t bytes, Nanos now) {
  Nanos since = budget_since_.load(std::memory_order_relaxed);
  if (now - since >= kSecond &&
      budget_since_.compare_exchange_strong(since, now, std::memory_order_relaxed)) {
    budget_used_.store(0, std::memory_order_relaxed);
  }
  if (budget_used_.load(std::memory_order_relaxed) >= options_.large_bytes_per_second) return false;
  budget_used_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void Observer::run() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
  int pauses = 1;
  std::unique_lock lock(stop_mutex_);
  while (!is_stopping_) {
    stop_.wait_for(lock, std::chrono::nanoseconds(options_.pause * pauses),
                   [this] { return is_stopping_; });
    lock.unlock();
    {
      std::lock_guard sweeping(sweeping_);
      pauses = sweep_blocks(false) ? 1 : std::min(pauses * 2, kMaxPauses);
    }
    lock.lock();
  }
}

uint32_t Observer::take_block(Slot& slot, bool waits) {
  uint32_t number = slot.block.load(std::memory_order_acquire);
  for (;;) {
    if (number == kNone || (number == kWriting && !waits)) return kNone;
    if (number == kWriting) {
      std::this_thread::yield();
      number = slot.block.load(std::memory_order_acquire);
    } else if (slot.block.compare_exchange_weak(number, kNone, std::memory_order_acquire)) {
      return number;
    }
  }
}

bool Observer::sweep_blocks(bool waits) {
  slot_scratch_.clear();
  full_scratch_.clear();
  for (Slot& slot : slots_) {
    const uint32_t number = take_block(slot, waits);
    if (number != kNone) slot_scratch_.push_back(number);
  }
  // Afterwards: a thread that was waited for may have put its block there.
  for (uint32_t number = full_.pop(); number != kNone; number = full_.pop()) {
    full_scratch_.push_back(number);
  }
  // Not by std::views, which clang 14 cannot take from this library.
  std::reverse(full_scratch_.begin(), full_scratch_.end());
  for (const uint32_t number : full_scratch_) empty(number);
  for (const uint32_t number : slot_scratch_) empty(number);
  return !full_scratch_.empty() || !slot_scratch_.empty();
}

void Observer::empty(uint32_t number) {
  ObservationBlock& block = blocks_[number];
  reader_.open(block);
  uint32_t sink = 0;
  Observation observation;
  while (reader_.next(&sink, &observation)) {
    const auto found = sinks_.find(sink);
    if (found != sinks_.end()) found->second->observe(observation);
  }
  block.clear();
  if (number < options_.blocks) {
    free_.push(number);
  } else {
    // One image of an unusual size must not keep its memory for ever.
    block.shrink(options_.block_bytes);
    free_large_.push(number);
  }
}

}  // namespace fastserve::engine
