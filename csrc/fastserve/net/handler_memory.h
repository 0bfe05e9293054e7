// The memory of one asynchronous operation, kept with its connection: Asio allocates an operation
// for every read, and this makes that allocation free.
//
// The slot serves one operation at a time; a second one at once (or one too large) goes to the
// heap. Thread: the two ends may be different threads if something orders them (as posting does).
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

namespace fastserve::net {

class HandlerMemory {
 public:
  HandlerMemory() = default;
  HandlerMemory(const HandlerMemory&) = delete;
  HandlerMemory& operator=(const HandlerMemory&) = delete;

  void* allocate(size_t bytes) {
    if (bytes <= kBytes && !is_used_.exchange(true, std::memory_order_acquire)) return storage_;
    return ::operator new(bytes);
  }
  void release(void* block) {
    if (block == storage_) {
      is_used_.store(false, std::memory_order_release);
    } else {
      ::operator delete(block);
    }
  }

 private:
  static constexpr size_t kBytes = 192;  // Asio's receive operation is 120, its send operation 128

  alignas(std::max_align_t) std::byte storage_[kBytes];
  std::atomic<bool> is_used_{false};
};

template <typename T>
struct HandlerAllocator {
  using value_type = T;

  explicit HandlerAllocator(HandlerMemory* memory) : memory(memory) {}
  template <typename U>
  HandlerAllocator(const HandlerAllocator<U>& other)  // NOLINT(google-explicit-constructor)
      : memory(other.memory) {}

  T* allocate(size_t count) { return static_cast<T*>(memory->allocate(count * sizeof(T))); }
  void deallocate(T* block, size_t) { memory->release(block); }
  template <typename U>
  bool operator==(const HandlerAllocator<U>& other) const {
    return memory == other.memory;
  }

  HandlerMemory* memory;
};

}  // namespace fastserve::net
