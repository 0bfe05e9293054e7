// A growable run of bytes that owns its memory and can keep its end aligned.
//
// Received messages live in a Buffer. The last field of a ModelInferRequest is its raw tensor data,
// so a message whose end is 16-byte aligned puts a single raw input of 1-, 2-, 4- or 8-byte
// elements on its natural boundary, and ONNX Runtime can read it where it lies. reserve_message()
// does that.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "fastserve/base/bytes.h"

namespace fastserve {

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(memory_); }

  std::byte* data() { return memory_ + offset_; }
  const std::byte* data() const { return memory_ + offset_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ByteSpan bytes() const { return {data(), size_}; }
  size_t capacity() const { return capacity_; }

  // Empties it and keeps the memory.
  void clear() {
    size_ = 0;
    offset_ = 0;
  }
  // Gives the memory back when it holds more than `keep_bytes`.
  void shrink(size_t keep_bytes) {
    clear();
    if (capacity_ <= keep_bytes) return;
    std::free(memory_);
    memory_ = nullptr;
    capacity_ = 0;
  }

  // Starts an empty message whose end, once `final_bytes` were appended, is 16-byte aligned.
  // Allocates for `now_bytes` only: a declared length is never trusted with memory.
  void reserve_message(size_t final_bytes, size_t now_bytes) {
    clear();
    offset_ = (kAlign - final_bytes % kAlign) % kAlign;
    grow(now_bytes);
  }

  void append(ByteSpan more) {
    if (more.empty()) return;
    grow(size_ + more.size());
    std::memcpy(data() + size_, more.data(), more.size());
    size_ += more.size();
  }
  // Makes room for `bytes` more and returns where they go; commit with set_size.
  std::byte* extend(size_t bytes) {
    grow(size_ + bytes);
    std::byte* end = data() + size_;
    size_ += bytes;
    return end;
  }
  // Drops bytes from the end; only to a size that was reached before.
  void truncate(size_t size) { size_ = size; }

  void swap(Buffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(capacity_, other.capacity_);
    std::swap(offset_, other.offset_);
    std::swap(size_, other.size_);
  }

 private:
  static constexpr size_t kAlign = 16;  // what malloc and realloc guarantee

  void grow(size_t wanted) {
    wanted += offset_;
    if (wanted <= capacity_) return;
    size_t capacity = capacity_ * 2 > wanted ? capacity_ * 2 : wanted;
    // realloc moves large blocks by remapping pages, not by copying them.
    void* memory = std::realloc(memory_, capacity);
    if (memory == nullptr) std::abort();
    memory_ = static_cast<std::byte*>(memory);
    capacity_ = capacity;
  }

  std::byte* memory_ = nullptr;
  size_t capacity_ = 0;
  size_t offset_ = 0;
  size_t size_ = 0;
};

}  // namespace fastserve
