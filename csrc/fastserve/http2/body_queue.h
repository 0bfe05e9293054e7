// Body bytes on their way to the peer: buffers in order, read from the front in frame-sized pieces.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"

namespace fastserve::http2 {

class BodyQueue {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void push(Buffer buffer) {
    if (buffer.empty()) return;
    size_ += buffer.size();
    buffers_.push_back(std::move(buffer));
  }

  // Moves `bytes` (at most size()) to the end of *out and frees what was read to its end.
  void pop(size_t bytes, Buffer* out) {
    size_ -= bytes;
    std::byte* to = out->extend(bytes);
    while (bytes > 0) {
      Buffer& front = buffers_[head_];
      const size_t piece = std::min(bytes, front.size() - offset_);
      std::memcpy(to, front.data() + offset_, piece);
      to += piece;
      bytes -= piece;
      offset_ += piece;
      if (offset_ == front.size()) drop_front();
    }
  }

  void clear() {
    buffers_.clear();
    head_ = offset_ = size_ = 0;
  }

  // An empty buffer, with the memory of one that was read to its end if that was kept.
  Buffer take_spare() { return std::exchange(spare_, Buffer()); }

 private:
  // What an answer of a few numbers takes; larger memory is given back to the system.
  static constexpr size_t kSpareBytes = 1024;

  void drop_front() {
    Buffer read;
    read.swap(buffers_[head_]);
    if (read.capacity() <= kSpareBytes) {
      read.clear();
      spare_.swap(read);
    }
    offset_ = 0;
    ++head_;
    if (head_ == buffers_.size()) {
      buffers_.clear();
      head_ = 0;
    } else if (head_ >= 64 && head_ * 2 >= buffers_.size()) {
      // A queue that never runs dry must not keep its empty front for ever.
      buffers_.erase(buffers_.begin(), buffers_.begin() + static_cast<ptrdiff_t>(head_));
      head_ = 0;
    }
  }

  std::vector<Buffer> buffers_;
  Buffer spare_;
  size_t head_ = 0;
  size_t offset_ = 0;  // read bytes of buffers_[head_]
  size_t size_ = 0;
};

}  // namespace fastserve::http2
