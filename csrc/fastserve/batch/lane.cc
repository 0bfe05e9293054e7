#include "fastserve/batch/lane.h"

namespace fastserve::batch {

void Lane::push(LaneEntry* entry) {
  LaneEntry* before = tail_;
  if (!last_of_rank_.empty()) {
    size_t rank = entry->rank;
    before = last_of_rank_[rank];
    while (before == nullptr && rank > 0) before = last_of_rank_[--rank];
    last_of_rank_[entry->rank] = entry;
  }
  LaneEntry* after = before == nullptr ? head_ : before->next;
  entry->previous = before;
  entry->next = after;
  (before == nullptr ? head_ : before->next) = entry;
  (after == nullptr ? tail_ : after->previous) = entry;
  rows_ += entry->rows;
  bytes_ += entry->bytes;
  ++count_;
}

void Lane::remove(LaneEntry* entry) {
  if (!last_of_rank_.empty() && last_of_rank_[entry->rank] == entry) {
    LaneEntry* before = entry->previous;
    const bool is_same = before != nullptr && before->rank == entry->rank;
    last_of_rank_[entry->rank] = is_same ? before : nullptr;
  }
  (entry->previous == nullptr ? head_ : entry->previous->next) = entry->next;
  (entry->next == nullptr ? tail_ : entry->next->previous) = entry->previous;
  entry->previous = nullptr;
  entry->next = nullptr;
  rows_ -= entry->rows;
  bytes_ -= entry->bytes;
  --count_;
}

}  // namespace fastserve::batch
