// Records of unlike sizes in one ring of bytes: the newest is written behind the last, the oldest
// leaves first.
//
// Positions and sizes count units of 16 bytes, so that 32 bits name any place in 64 GiB. A record
// lies in one piece: where it would cross the end of the ring, a padding record fills the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "fastserve/engine/prediction_record.h"

namespace fastserve::engine {

class RecordRing {
 public:
  static constexpr size_t kUnit = 16;

  // Units that a record with so many bytes of tensors takes.
  static size_t units_of(size_t bytes) {
    return (sizeof(RecordHeader) + bytes + kUnit - 1) / kUnit;
  }

  // `bytes`: at least a few records, below 64 GiB.
  explicit RecordRing(size_t bytes)
      // Not touched: pages become real when records come to lie in them.
      : memory_(static_cast<std::byte*>(std::malloc(bytes / kUnit * kUnit))),
        units_(bytes / kUnit) {
    if (memory_ == nullptr) std::abort();
  }

  size_t units() const { return units_; }
  size_t used_units() const { return used_; }
  bool is_empty() const { return used_ == 0; }
  // Units that must be free for append() of so many.
  size_t needed(size_t units) const {
    const size_t to_end = units_ - head_;
    return units <= to_end ? units : to_end + units;
  }
  bool has_room(size_t units) const { return needed(units) <= units_ - used_; }

  // The position of a new record, to be filled. Only when has_room(units).
  uint32_t append(size_t units) {
    const size_t to_end = units_ - head_;
    if (units > to_end) {
      RecordHeader* padding = at(static_cast<uint32_t>(head_));
      padding->units = static_cast<uint32_t>(to_end);
      padding->flags = RecordHeader::kPadding;
      used_ += to_end;
      head_ = 0;
    }
    const auto position = static_cast<uint32_t>(head_);
    at(position)->units = static_cast<uint32_t>(units);
    used_ += units;
    head_ = head_ + units == units_ ? 0 : head_ + units;
    return position;
  }
  // Only when !is_empty().
  uint32_t oldest() const { return static_cast<uint32_t>(tail_); }
  void drop_oldest() {
    const size_t units = at(oldest())->units;
    used_ -= units;
    tail_ = tail_ + units == units_ ? 0 : tail_ + units;
  }

  RecordHeader* at(uint32_t position) {
    return reinterpret_cast<RecordHeader*>(memory_.get() + position * kUnit);
  }
  const RecordHeader* at(uint32_t position) const {
    return reinterpret_cast<const RecordHeader*>(memory_.get() + position * kUnit);
  }
  // The tensors of the record there; up to 15 bytes at the end mean nothing.
  MutableByteSpan tensors(uint32_t position) {
    std::byte* begin = memory_.get() + position * kUnit + sizeof(RecordHeader);
    return {begin, at(position)->units * kUnit - sizeof(RecordHeader)};
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  std::unique_ptr<std::byte[], Free> memory_;
  size_t units_;
  size_t head_ = 0;
  size_t tail_ = 0;
  size_t used_ = 0;
};

}  // namespace fastserve::engine
