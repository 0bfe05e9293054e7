// A fixed run of bytes that holds observations back to back: what a serving thread fills with plain
// copies and the observer reads.
//
// Layout of a record, every part padded to 8 bytes:
//   Header | Request x requests | their ids | (Tensor | dims | data) x tensors
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fastserve/engine/observation.h"

namespace fastserve::engine {

class ObservationBlock {
 public:
  // What a record of `observation` takes.
  static size_t record_bytes(const Observation& observation);

  // Gives the block its memory. A block that has some keeps it unless more is asked for.
  void reserve(size_t capacity_bytes);
  // Gives memory above `keep_bytes` back; the block must be empty.
  void shrink(size_t keep_bytes);

  size_t size() const { return size_; }
  bool has_room(size_t bytes) const { return size_ + bytes <= capacity_; }
  // Only when it has room for record_bytes(observation). `sink` is whom the reader is to tell.
  void append(uint32_t sink, const Observation& observation);
  void clear() { size_ = 0; }

 private:
  friend class ObservationReader;

  std::unique_ptr<std::byte[]> memory_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

// Reads a block's records in their order; its scratch is reused. Thread: one at a time.
class ObservationReader {
 public:
  void open(const ObservationBlock& block);
  // False at the end. The views are valid until the block changes or next() is called again.
  bool next(uint32_t* sink, Observation* observation);

 private:
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  std::vector<ObservedRequest> requests_;
  std::vector<ObservedTensor> tensors_;
};

}  // namespace fastserve::engine
