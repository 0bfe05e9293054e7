#include "fastserve/batch/lane.h"

namespace fastserve::batch {

void Lane::push(LaneEntry* entry) {
  LaneEntry* before = tail_;
  while (before != nullptr && before->priority > entry->priority) before = before->previous;
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
  (entry->previous == nullptr ? head_ : entry->previous->next) = entry->next;
  (entry->next == nullptr ? tail_ : entry->next->previous) = entry->previous;
  entry->previous = nullptr;
  entry->next = nullptr;
  rows_ -= entry->rows;
  bytes_ -= entry->bytes;
  --count_;
}

}  // namespace fastserve::batch
