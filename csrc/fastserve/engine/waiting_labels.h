// Labels that came before their prediction: which names wait, until when, and which have arrived.
//
// All wait equally long, so they expire in the order in which they came: a ring, and an index over
// it. The label itself stays with the caller, who knows it by its ticket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/sip_hash.h"
#include "fastserve/engine/record_index.h"

namespace fastserve::engine {

class WaitingLabels {
 public:
  // Never holds more than `capacity` tickets, those that nobody has taken yet included.
  explicit WaitingLabels(size_t capacity)
      : entries_(capacity), index_(capacity * 2 + 4), capacity_(capacity) {
    arrived_.reserve(capacity);
    expired_.reserve(capacity);
  }

  bool is_empty() const { return index_.size() == 0; }
  size_t size() const { return index_.size(); }
  bool contains(Hash128 hash) const { return find(hash) != RecordIndex::kNone; }

  // The ticket, never 0; 0 when there is no room. Only when it does not wait already.
  uint64_t add(Hash128 hash, Nanos deadline) {
    if (head_ - tail_ + arrived_.size() + expired_.size() >= capacity_) return 0;
    const auto position = static_cast<uint32_t>(head_ % capacity_);
    entries_[position] = {hash, deadline, ++last_ticket_, true};
    index_.insert(tag_of(hash), position);
    ++head_;
    return last_ticket_;
  }
  // The prediction came. False when no label waits for it.
  bool arrive(Hash128 hash) {
    const uint32_t position = find(hash);
    if (position == RecordIndex::kNone) return false;
    arrived_.push_back(entries_[position].ticket);
    index_.erase(tag_of(hash), position);
    entries_[position].is_waiting = false;
    trim();
    return true;
  }
  // Gives up what waited long enough; how many those were.
  size_t expire(Nanos now) {
    size_t count = 0;
    while (tail_ != head_ && entries_[tail_ % capacity_].deadline <= now) {
      const auto position = static_cast<uint32_t>(tail_ % capacity_);
      if (entries_[position].is_waiting) {
        index_.erase(tag_of(entries_[position].hash), position);
        expired_.push_back(entries_[position].ticket);
        ++count;
      }
      ++tail_;
    }
    trim();
    return count;
  }
  // Moves the tickets that are done with out of here.
  void take(std::vector<uint64_t>* arrived, std::vector<uint64_t>* expired) {
    arrived->assign(arrived_.begin(), arrived_.end());
    expired->assign(expired_.begin(), expired_.end());
    arrived_.clear();
    expired_.clear();
  }

 private:
  struct Entry {
    Hash128 hash;
    Nanos deadline = 0;
    uint64_t ticket = 0;
    bool is_waiting = false;
  };

  static uint32_t tag_of(Hash128 hash) { return static_cast<uint32_t>(hash.low); }
  uint32_t find(Hash128 hash) const {
    return index_.find(tag_of(hash), [&](uint32_t at) { return entries_[at].hash == hash; });
  }
  // Those at the end that have arrived hold no place any more.
  void trim() {
    while (tail_ != head_ && !entries_[tail_ % capacity_].is_waiting) ++tail_;
  }

  std::vector<Entry> entries_;
  RecordIndex index_;
  size_t capacity_;
  uint64_t head_ = 0;
  uint64_t tail_ = 0;
  uint64_t last_ticket_ = 0;
  std::vector<uint64_t> arrived_;
  std::vector<uint64_t> expired_;
};

}  // namespace fastserve::engine
