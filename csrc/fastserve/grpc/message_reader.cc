#include "fastserve/grpc/message_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace fastserve::grpc {
namespace {

constexpr size_t kFirstReserveBytes = 64 * 1024;

}  // namespace

Status MessageReader::feed(ByteSpan* data, size_t max_bytes, bool* complete) {
  *complete = false;
  if (prefix_size_ < kPrefixBytes) {
    const size_t piece = std::min(kPrefixBytes - prefix_size_, data->size());
    std::memcpy(prefix_ + prefix_size_, data->data(), piece);
    prefix_size_ = static_cast<uint8_t>(prefix_size_ + piece);
    *data = data->subspan(piece);
    if (prefix_size_ < kPrefixBytes) return ok_status();
    if (Status status = on_prefix(max_bytes); !status.ok()) return status;
  }
  const size_t piece = std::min(length_ - message_.size(), data->size());
  message_.append(data->first(piece));
  *data = data->subspan(piece);
  *complete = message_.size() == length_;
  return ok_status();
}

Status MessageReader::on_prefix(size_t max_bytes) {
  length_ = uint32_t{prefix_[1]} << 24 | uint32_t{prefix_[2]} << 16 | uint32_t{prefix_[3]} << 8 |
            uint32_t{prefix_[4]};
  if (prefix_[0] > 1) {
    return {Code::kInternal,
            "message has compressed flag " + std::to_string(prefix_[0]) + ", expected 0 or 1"};
  }
  if (length_ > max_bytes) {
    return {Code::kResourceExhausted, "message of " + std::to_string(length_) +
                                          " bytes is larger than the limit of " +
                                          std::to_string(max_bytes) + " bytes"};
  }
  message_.reserve_message(length_, std::min<size_t>(length_, kFirstReserveBytes));
  return ok_status();
}

void MessageReader::next(size_t keep_bytes) {
  prefix_size_ = 0;
  message_.shrink(keep_bytes);
}

}  // namespace fastserve::grpc
