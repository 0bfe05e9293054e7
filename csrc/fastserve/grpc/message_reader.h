// Cuts the body of a call into messages: 1 byte compressed flag, 4 bytes big-endian length, bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/status.h"

namespace fastserve::grpc {

class MessageReader {
 public:
  static constexpr size_t kPrefixBytes = 5;

  // Takes bytes from the front of *data until one message is whole (*complete) or *data is empty.
  // A declared length is checked before any byte of the message is kept, and trusted with memory
  // only as far as bytes follow. Errors: kResourceExhausted over `max_bytes`; kInternal for a
  // compressed flag other than 0 and 1. After an error the reader is of no use until reset().
  Status feed(ByteSpan* data, size_t max_bytes, bool* complete);

  // Of the whole message, until next().
  bool is_compressed() const { return prefix_[0] != 0; }
  Buffer& message() { return message_; }
  // Starts the next message; keeps at most `keep_bytes` of memory.
  void next(size_t keep_bytes);

  // A message has begun and is not whole.
  bool is_mid_message() const { return prefix_size_ > 0; }
  // Bytes kept of the message under way.
  size_t buffered_bytes() const { return message_.size(); }
  void reset() { next(0); }

 private:
  Status on_prefix(size_t max_bytes);

  uint8_t prefix_[kPrefixBytes];
  uint8_t prefix_size_ = 0;
  uint32_t length_ = 0;
  Buffer message_;
};

}  // namespace fastserve::grpc
