// Where a record lies, by the hash of its name: a table of 8 bytes a slot that never grows.
//
// Open addressing with linear probing. A slot holds 32 bits of the hash and the record's position;
// the whole hash is with the record, and the caller compares it. A slot that is given back is
// filled from behind (backward shift), so there are no tombstones and a full table does not slow
// down with age. At three quarters full, the most that is allowed, a search reads 2.5 slots when it
// finds and 8.5 when it does not (Knuth, TAOCP volume 3, section 6.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace fastserve::engine {

class RecordIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kSlotBytes = 8;

  // `slots`: from 4 to 2^32 - 1.
  explicit RecordIndex(size_t slots)
      // Zeros of the kernel: pages that are never used cost nothing.
      : slots_(static_cast<Slot*>(std::calloc(slots, sizeof(Slot)))), count_(slots) {
    if (slots_ == nullptr) std::abort();
  }

  size_t size() const { return size_; }
  // Records that fit.
  size_t capacity() const { return count_ - count_ / 4 - 1; }
  bool is_full() const { return size_ >= capacity(); }

  // The position of the record with this tag for which `is_it(position)`, else kNone.
  template <typename IsIt>
  uint32_t find(uint32_t tag, IsIt&& is_it) const {
    for (size_t i = home(tag); slots_[i].place != 0; i = next(i)) {
      if (slots_[i].tag == tag && is_it(slots_[i].place - 1)) return slots_[i].place - 1;
    }
    return kNone;
  }
  // Only when !is_full() and no record of the same hash is there.
  void insert(uint32_t tag, uint32_t position) {
    size_t i = home(tag);
    while (slots_[i].place != 0) i = next(i);
    slots_[i] = {tag, position + 1};
    ++size_;
  }
  // The record with this tag at `from` lies at `to` from now on.
  void move(uint32_t tag, uint32_t from, uint32_t to) { slots_[slot_of(tag, from)].place = to + 1; }
  // Only for what was inserted.
  void erase(uint32_t tag, uint32_t position) {
    size_t hole = slot_of(tag, position);
    for (size_t i = next(hole); slots_[i].place != 0; i = next(i)) {
      // What lies behind its home and at or behind the hole may move into it.
      if (distance(home(slots_[i].tag), i) >= distance(hole, i)) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole] = {};
    --size_;
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t place = 0;  // position + 1; 0: empty
  };
  static_assert(sizeof(Slot) == kSlotBytes);
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  size_t home(uint32_t tag) const { return (static_cast<uint64_t>(tag) * count_) >> 32; }
  size_t next(size_t i) const { return i + 1 == count_ ? 0 : i + 1; }
  // Steps from slot `from` on to slot `to`.
  size_t distance(size_t from, size_t to) const {
    return to >= from ? to - from : to + count_ - from;
  }
  size_t slot_of(uint32_t tag, uint32_t position) const {
    size_t i = home(tag);
    while (slots_[i].place != position + 1) i = next(i);
    return i;
  }

  std::unique_ptr<Slot[], Free> slots_;
  size_t count_;
  size_t size_ = 0;
};

}  // namespace fastserve::engine
