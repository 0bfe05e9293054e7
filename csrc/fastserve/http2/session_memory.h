// Memory for one nghttp2 session: free lists by size class, over an arena (session_arena.h) and,
// once that is used up, malloc.
//
// The library allocates about a dozen small blocks per request (stream, outbound items, header
// arrays, literals). Lists that belong to one connection need no lock and no size lookup beyond a
// header word; what a connection used at its busiest stays with it until it closes.
#pragma once

#include <array>
#include <cstddef>

#include "fastserve/http2/session_arena.h"

namespace fastserve::http2 {

class SessionMemory {
 public:
  SessionMemory() = default;
  ~SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;

  void* allocate(size_t bytes);
  void release(void* block);
  void* reallocate(void* block, size_t bytes);

 private:
  static constexpr size_t kGrain = 32;
  static constexpr size_t kClasses = 18;  // 32, 64, ... 576 bytes; larger go to malloc

  struct Block {
    Block* next;
  };

  // Null where the system has no more.
  void* obtain(size_t bytes);
  void give_up(void* memory);

  SessionArena arena_;
  bool is_frame_taken_ = false;
  std::array<Block*, kClasses> free_{};
};

}  // namespace fastserve::http2
