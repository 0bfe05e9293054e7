#include "fastserve/http2/session_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace fastserve::http2 {
namespace {

// Before every block: its size. 16 bytes keep the block aligned for any type.
struct alignas(16) Prefix {
  size_t bytes;  // usable
};

Prefix* prefix_of(void* block) { return static_cast<Prefix*>(block) - 1; }

}  // namespace

SessionMemory::~SessionMemory() {
  for (Block* block : free_) {
    while (block != nullptr) {
      Block* next = block->next;
      give_up(prefix_of(block));
      block = next;
    }
  }
}

void* SessionMemory::obtain(size_t bytes) {
  // What has the size of the buffer for frames is that: the session asks for it at its start.
  constexpr size_t kFrame = 16 * 1024;
  if (bytes >= kFrame && bytes <= SessionArena::kFrameBytes && !is_frame_taken_ &&
      !arena_.empty()) {
    is_frame_taken_ = true;
    return arena_.frame();
  }
  if (void* memory = arena_.take(bytes)) return memory;
  return std::malloc(bytes);
}

void SessionMemory::give_up(void* memory) {
  if (!arena_.holds(memory)) {
    std::free(memory);
  } else if (memory == arena_.frame()) {
    is_frame_taken_ = false;
  }
}

void* SessionMemory::allocate(size_t bytes) {
  const size_t index = bytes == 0 ? 0 : (bytes - 1) / kGrain;
  if (index < kClasses) {
    if (Block* block = free_[index]; block != nullptr) {
      free_[index] = block->next;
      return block;
    }
    bytes = (index + 1) * kGrain;
  }
  if (bytes > SIZE_MAX - sizeof(Prefix)) return nullptr;
  auto* prefix = static_cast<Prefix*>(obtain(sizeof(Prefix) + bytes));
  if (prefix == nullptr) return nullptr;
  prefix->bytes = bytes;
  return prefix + 1;
}

void SessionMemory::release(void* pointer) {
  if (pointer == nullptr) return;
  Prefix* prefix = prefix_of(pointer);
  const size_t index = (prefix->bytes - 1) / kGrain;
  if (index >= kClasses) {
    give_up(prefix);
    return;
  }
  auto* block = static_cast<Block*>(pointer);
  block->next = free_[index];
  free_[index] = block;
}

void* SessionMemory::reallocate(void* block, size_t bytes) {
  if (block == nullptr) return allocate(bytes);
  const size_t had = prefix_of(block)->bytes;
  if (bytes <= had && had < 2 * kClasses * kGrain) return block;
  void* moved = allocate(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(had, bytes));
  release(block);
  return moved;
}

}  // namespace fastserve::http2
