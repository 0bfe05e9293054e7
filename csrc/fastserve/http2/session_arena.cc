#include "fastserve/http2/session_arena.h"

#include <sys/mman.h>

#include <mutex>
#include <vector>

namespace fastserve::http2 {
namespace {

// Arenas come in slabs, since the system bounds the number of mappings. A slab is kept for good;
// what its arenas had touched is given back but for a few, for connections that come and go.
constexpr size_t kArenasOfSlab = 64;
constexpr size_t kKeptArenas = 64;

class ArenaPool {
 public:
  explicit ArenaPool(size_t arena_bytes) : arena_bytes_(arena_bytes) {}

  std::byte* take() {
    std::lock_guard lock(mutex_);
    if (std::byte* arena = pop(&kept_)) return arena;
    if (cold_.empty() && !add_slab()) return nullptr;
    return pop(&cold_);
  }

  void give_back(std::byte* arena) {
    {
      std::lock_guard lock(mutex_);
      if (kept_.size() < kKeptArenas) {
        kept_.push_back(arena);
        return;
      }
    }
    madvise(arena, arena_bytes_, MADV_DONTNEED);
    std::lock_guard lock(mutex_);
    cold_.push_back(arena);
  }

 private:
  static std::byte* pop(std::vector<std::byte*>* arenas) {
    if (arenas->empty()) return nullptr;
    std::byte* arena = arenas->back();
    arenas->pop_back();
    return arena;
  }

  bool add_slab() {
    const size_t bytes = arena_bytes_ * kArenasOfSlab;
    void* slab = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED) return false;
    // A large page would be touched as a whole.
    madvise(slab, bytes, MADV_NOHUGEPAGE);
    for (size_t i = kArenasOfSlab; i-- > 0;) {
      cold_.push_back(static_cast<std::byte*>(slab) + i * arena_bytes_);
    }
    return true;
  }

  const size_t arena_bytes_;
  std::mutex mutex_;
  std::vector<std::byte*> kept_;
  std::vector<std::byte*> cold_;
};

// Never destroyed: connections may outlive whatever else ends with the process.
ArenaPool& pool(size_t arena_bytes) {
  static auto* const pool = new ArenaPool(arena_bytes);
  return *pool;
}

}  // namespace

SessionArena::SessionArena() : begin_(pool(kArenaBytes).take()) {}

SessionArena::~SessionArena() {
  if (!empty()) pool(kArenaBytes).give_back(begin_);
}

void* SessionArena::take(size_t bytes) {
  constexpr size_t kAlign = 16;
  if (empty() || bytes > kUsedBytes - used_) return nullptr;
  void* block = begin_ + used_;
  used_ += (bytes + kAlign - 1) / kAlign * kAlign;
  return block;
}

}  // namespace fastserve::http2
