// What one connection may ask of us. HTTP/2 lets a peer cause work and memory at almost no cost to
// itself; every bound against that is here, none is left to the HTTP/2 library's defaults.
#pragma once

#include <cstdint>

namespace fastserve::http2 {

struct Limits {
  uint32_t max_concurrent_streams = 1024;
  uint32_t max_header_count = 128;              // per header block
  uint32_t max_header_bytes = 16 * 1024;        // per block: name + value + 32 each
  uint32_t max_frame_bytes = 64 * 1024;         // SETTINGS_MAX_FRAME_SIZE
  uint32_t stream_window_bytes = 1 << 20;       // unread bytes one stream may hold
  uint32_t connection_window_bytes = 8 << 20;   // unread bytes all streams of a connection may hold
  uint32_t max_outbound_control_frames = 1000;  // PING/SETTINGS/RST acks for a peer that reads not
  // Token bucket for things that cost us more than the peer; empty means GOAWAY with
  // ENHANCE_YOUR_CALM. Prices: GlitchCost.
  uint32_t glitch_burst = 10'000;
  uint32_t glitch_per_second = 330;
};

}  // namespace fastserve::http2
