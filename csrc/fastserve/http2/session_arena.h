// Pages in which the memory of one HTTP/2 session lies together.
//
// nghttp2 asks for 9 KiB when a session begins, for some 3 KiB while it serves, and for one buffer
// of 16 KiB to pack frames in, of which small answers touch the first hundred bytes. From malloc
// that buffer is a hole between a connection's other memory, and a hole has two ends: 4 KiB of
// pages of which nothing is used. Here what is used comes first, and the buffer begins on the last
// page of it: three pages a connection. With five thousand of them that is 20 MB.
#pragma once

#include <cstddef>

namespace fastserve::http2 {

class SessionArena {
 public:
  // As much as a session of small calls needs. The rest of its last page is the frame's.
  static constexpr size_t kUsedBytes = 3 * 4096 - 512;
  // One block, whose beginning alone is touched as a rule.
  static constexpr size_t kFrameBytes = 4 * 4096 + 512;

  // Without memory where the system has none: empty() then.
  SessionArena();
  ~SessionArena();
  SessionArena(const SessionArena&) = delete;
  SessionArena& operator=(const SessionArena&) = delete;

  bool empty() const { return begin_ == nullptr; }
  // Aligned to 16 bytes; null when that much is not left. There is no way to give it back but to
  // end the arena.
  void* take(size_t bytes);
  // The same kFrameBytes each time. Null when empty().
  void* frame() const { return empty() ? nullptr : begin_ + kUsedBytes; }
  bool holds(const void* block) const {
    return block >= begin_ && block < begin_ + kArenaBytes && !empty();
  }

 private:
  static constexpr size_t kArenaBytes = kUsedBytes + kFrameBytes;

  std::byte* begin_;
  size_t used_ = 0;
};

}  // namespace fastserve::http2
