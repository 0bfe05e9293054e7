// A set of numbers that any thread pushes and pops without locks: which blocks are free, and which
// are full.
//
// Idea (Treiber, "Systems Programming: Coping with Parallelism", 1986): a linked stack whose head
// is exchanged by compare-and-swap. The head carries a count beside the number, so that a number
// that was popped and pushed again between a thread's look and its exchange is not taken for the
// same state (the ABA problem).
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace fastserve::engine {

class BlockStack {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Numbers below `count` may be pushed; none is in it yet.
  explicit BlockStack(uint32_t count) : next_(count) {}

  // `number` is in no stack. What its pusher wrote before is seen by whoever takes it.
  void push(uint32_t number) {
    uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      next_[number].store(number_of(head), std::memory_order_relaxed);
    } while (!head_.compare_exchange_weak(head, after(head, number), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  // kNone when it is empty.
  uint32_t pop() {
    uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      const uint32_t number = number_of(head);
      if (number == kNone) return kNone;
      const uint32_t next = next_[number].load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, after(head, next), std::memory_order_acquire,
                                      std::memory_order_acquire)) {
        return number;
      }
    }
  }

 private:
  static uint32_t number_of(uint64_t head) { return static_cast<uint32_t>(head); }
  static uint64_t after(uint64_t head, uint32_t number) {
    return ((head >> 32) + 1) << 32 | number;
  }

  std::vector<std::atomic<uint32_t>> next_;
  std::atomic<uint64_t> head_{kNone};
};

}  // namespace fastserve::engine
