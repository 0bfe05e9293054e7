// Walks the frame headers of the inbound byte stream before the HTTP/2 library sees them.
//
// The library reports no event for frames that it ignores (unknown types, DATA and header blocks of
// streams that are gone, PRIORITY), yet a flood of those costs as much as any other. The scanner
// reads nine bytes per frame and prices each by what it is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/http2/glitch_limiter.h"
#include "fastserve/http2/limits.h"

namespace fastserve::http2 {

class FrameScanner {
 public:
  FrameScanner(const Limits& limits, GlitchLimiter* limiter)
      : max_header_block_bytes_(uint64_t{limits.max_header_bytes} * 4), limiter_(limiter) {}

  // Prices the frames that start in `bytes` (the next piece of the stream, client preface first).
  // False when the peer must be cut off: the bucket is empty, or a header block is longer on the
  // wire than any within limits could be.
  bool scan(ByteSpan bytes, Nanos now);

  // One DATA frame was sent: the peer owes us WINDOW_UPDATEs, and may measure its round trip.
  void on_data_sent() {
    ping_is_due_ = true;
    window_updates_due_ += kWindowUpdatesPerFrame;
  }

 private:
  static constexpr size_t kFrameHeaderBytes = 9;
  static constexpr size_t kPrefaceBytes = 24;
  // As Envoy counts: ten per DATA frame sent, two per stream, five for the start.
  static constexpr uint64_t kWindowUpdatesPerFrame = 10;
  static constexpr uint64_t kWindowUpdatesPerStream = 2;

  bool on_frame_header(const uint8_t* header, Nanos now);
  int64_t price(uint32_t length, uint8_t type, uint8_t flags);

  uint64_t max_header_block_bytes_;
  GlitchLimiter* limiter_;
  size_t skip_ = kPrefaceBytes;  // payload bytes (or preface) to the next frame header
  uint8_t header_[kFrameHeaderBytes];
  size_t header_size_ = 0;  // bytes of a split frame header held in header_
  uint64_t header_block_bytes_ = 0;
  uint64_t window_updates_due_ = 5;
  bool settings_are_due_ = true;  // the first are part of the preface
  bool ping_is_due_ = true;
};

}  // namespace fastserve::http2
