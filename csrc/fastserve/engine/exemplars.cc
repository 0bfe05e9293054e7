#include "fastserve/engine/exemplars.h"

#include <cstring>

#include "fastserve/base/utf8.h"

namespace fastserve::engine {
namespace {

// A writer holds a slot for some twenty stores; a reader that meets one more often than this was
// unlucky, and goes without the example.
constexpr int kReadAttempts = 16;

}  // namespace

// Data is stored with release and loaded with acquire: a reader that saw a word of a later write
// then also sees that the slot's turn moved on.
void Exemplars::put(Nanos total, Nanos at, std::string_view id) {
  const size_t bytes = cut_between_characters(id, kMaxIdBytes);
  if (bytes == 0) return;
  Slot& slot = slots_[bucket_of(total)];
  uint32_t turn = slot.turn.load(std::memory_order_relaxed);
  if (turn % 2 != 0 ||
      !slot.turn.compare_exchange_strong(turn, turn + 1, std::memory_order_acq_rel)) {
    return;
  }
  std::array<uint64_t, kWords> words{};
  std::memcpy(words.data(), id.data(), bytes);
  for (size_t i = 0; i * 8 < bytes; ++i) slot.id[i].store(words[i], std::memory_order_release);
  slot.id_bytes.store(static_cast<uint32_t>(bytes), std::memory_order_release);
  slot.total.store(total, std::memory_order_release);
  slot.at.store(at, std::memory_order_release);
  slot.turn.store(turn + 2, std::memory_order_release);
}

std::vector<Exemplar> Exemplars::read() const {
  std::vector<Exemplar> found;
  for (size_t bucket = 0; bucket < slots_.size(); ++bucket) {
    const Slot& slot = slots_[bucket];
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      const uint32_t turn = slot.turn.load(std::memory_order_acquire);
      if (turn == 0) break;  // never written
      if (turn % 2 != 0) continue;
      std::array<uint64_t, kWords> words{};
      const size_t bytes = slot.id_bytes.load(std::memory_order_acquire);
      for (size_t i = 0; i * 8 < bytes; ++i) words[i] = slot.id[i].load(std::memory_order_acquire);
      Exemplar one{.bucket = bucket,
                   .total = slot.total.load(std::memory_order_acquire),
                   .at = slot.at.load(std::memory_order_acquire),
                   .id = {}};
      if (slot.turn.load(std::memory_order_relaxed) != turn) continue;
      one.id.assign(reinterpret_cast<const char*>(words.data()), bytes);
      found.push_back(std::move(one));
      break;
    }
  }
  return found;
}

}  // namespace fastserve::engine
