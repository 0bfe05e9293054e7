// A lane: requests that may share a batch, by rank and then by arrival. Entries are intrusive, so
// queueing a request allocates nothing and taking one out of the middle (cancel, expiry) is O(1).
//
// Thread: the owner's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastserve/base/clock.h"

namespace fastserve::batch {

struct LaneEntry {
  LaneEntry* previous = nullptr;
  LaneEntry* next = nullptr;
  uint32_t rows = 1;
  uint32_t rank = 0;  // 0 is the most urgent; below the lane's ranks
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

  // How many ranks entries may have; 1 unless said. Only while the lane is empty.
  void set_ranks(uint32_t ranks) { last_of_rank_.assign(ranks > 1 ? ranks : 0, nullptr); }

  // Goes behind every entry of the same or a more urgent rank. O(ranks), however many wait. `entry`
  // is in no lane.
  void push(LaneEntry* entry);
  // `entry` is in this lane; it may be reused at once.
  void remove(LaneEntry* entry);

 private:
  LaneEntry* head_ = nullptr;
  LaneEntry* tail_ = nullptr;
  std::vector<LaneEntry*> last_of_rank_;  // null where a rank has none; empty with one rank
  uint64_t rows_ = 0;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
};

}  // namespace fastserve::batch
