// What is kept of one answered request, and how it lies in memory.
//
// A record is a header of 48 bytes and its tensors, one behind the other:
//
//   data bytes u32 | name bytes u16 | rank u8 | dtype u8 | dims i64 x rank | name | data
//
// The id and the model are not in it: the 128-bit hash of both names the record (sip_hash.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/sip_hash.h"
#include "fastserve/tensor/tensor_view.h"

namespace fastserve::engine {

// A prediction on its way into the store; everything in it is copied.
struct PredictionRecord {
  std::string_view model;
  std::string_view id;  // the request's; one without an id cannot be judged later
  int64_t version = 0;
  int64_t time_ns = 0;  // wall clock of the request's arrival
  std::span<const TensorView> outputs;
  const TensorView* segment = nullptr;  // the input that says which group each row belongs to
};

struct RecordHeader {
  static constexpr uint16_t kPadding = 1;   // nothing, up to the end of the ring
  static constexpr uint16_t kReplaced = 2;  // a later prediction has its id
  static constexpr uint16_t kJoined = 4;    // has had its label
  static constexpr uint16_t kTooLarge = 8;  // its outputs were not kept
  static constexpr uint16_t kSegment = 16;  // the first tensor is the segment

  uint32_t units;  // of 16 bytes, this header included
  uint16_t flags;
  uint16_t tensors;
  int64_t time_ns;
  // Of a padding record there is only what is above.
  Hash128 hash;
  Nanos put_at;
  int64_t version;
};
static_assert(sizeof(RecordHeader) == 48);

// Bytes of a record's tensors in its memory; SIZE_MAX when a name or rank cannot be written.
size_t tensor_bytes(const PredictionRecord& record);
// Writes the tensors: the segment, if there is one, then the outputs. `to` has tensor_bytes().
void write_tensors(const PredictionRecord& record, std::byte* to);
// `count` tensors from bytes that write_tensors() wrote; views into them.
void read_tensors(ByteSpan from, size_t count, std::vector<TensorView>* tensors);

}  // namespace fastserve::engine
