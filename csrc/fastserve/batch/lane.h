// A lane: requests that may share a batch, by priority and then by arrival. Entries are intrusive,
// so queueing a request allocates nothing and taking one out of the middle (cancel, expiry) is
// O(1).
//
// Thread: the owner's lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastserve/base/clock.h"

namespace fastserve::batch {

struct LaneEntry {
  LaneEntry* previous = nullptr;
  LaneEntry* next = nullptr;
  uint32_t rows = 1;
  uint32_t priority = 0;  // 0 is the most urgent
  size_t bytes = 0;
  Nanos arrival = 0;
  Nanos deadline = kNever;
};

class Lane {
 public:
  bool empty() const { return head_ == nullptr; }
  uint64_t rows() const { return rows_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t count() const { return count_; }
  LaneEntry* head() const { return head_; }

  // Goes behind every entry of the same or a more urgent priority. O(entries less urgent than it):
  // O(1) where all share one priority. `entry` is in no lane.
  void push(LaneEntry* entry);
  // `entry` is in this lane; it may be reused at once.
  void remove(LaneEntry* entry);

 private:
  LaneEntry* head_ = nullptr;
  LaneEntry* tail_ = nullptr;
  uint64_t rows_ = 0;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
};

}  // namespace fastserve::batch
