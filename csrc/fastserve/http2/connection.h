// The server side of one HTTP/2 connection as a pure state machine over libnghttp2: bytes in,
// events out, bytes to send. No socket, no clock, no thread of its own.
//
// Thread: one connection is used by one thread at a time. Every call but produce() may run events
// of the handler before it returns; a handler may call respond/send/reset/consume from inside an
// event.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"

namespace fastserve::http2 {

struct Limits {
  uint32_t max_concurrent_streams = 1024;
  uint32_t max_header_count = 128;          // per header block
  uint32_t max_header_bytes = 16 * 1024;    // per block: name + value + 32 each
  uint32_t max_frame_bytes = 64 * 1024;     // SETTINGS_MAX_FRAME_SIZE
  uint32_t stream_window_bytes = 1 << 20;   // unread bytes one stream may hold
  uint32_t connection_window_bytes = 8 << 20;  // unread bytes all streams of a connection may hold
  // Control frames (PING, SETTINGS, RST acks, ...) waiting for a peer that does not read.
  uint32_t max_outbound_control_frames = 1000;
  // Bursts of things that cost us more than the peer: resets made by the peer, streams that the
  // peer makes us reset, empty DATA/HEADERS/CONTINUATION, PRIORITY, WINDOW_UPDATE 0, SETTINGS, PING.
  // A token bucket per connection: `glitch_burst` and `glitch_per_second`; empty = ENHANCE_YOUR_CALM.
  // Peer RST of a stream older than one second, or of one whose answer was under way, is an honest cancel
  // and costs a tenth.
  uint32_t glitch_burst = 10'000;
  uint32_t glitch_per_second = 330;
};

struct Header {
  std::string_view name;   // lower case
  std::string_view value;
};

// One request and its answer. Made by the connection; dead after on_closed returned.
class Stream;

// What the next layer does with streams. Order for one stream: on_request once, on_data any number,
// on_end at most once, on_closed exactly once and last. A stream refused by the connection itself
// (limits) gets no event at all.
class Handler {
 public:
  virtual ~Handler() = default;
  // The header block is complete and within limits. stream.headers() stay valid until on_closed.
  virtual void on_request(Stream& stream) = 0;
  // Bytes of the body. They count against the windows until consume() returns them.
  virtual void on_data(Stream& stream, ByteSpan data) = 0;
  // The peer will send no more (END_STREAM).
  virtual void on_end(Stream& stream) = 0;
  // The stream is gone. `error_code` is NO_ERROR (0) when the answer was fully sent.
  virtual void on_closed(Stream& stream, uint32_t error_code) = 0;
  // More body may be queued: what was queued fell under the low-water mark after having been over
  // it (see queued_bytes).
  virtual void on_writable(Stream& stream) = 0;
};

class Connection;

class Stream {
 public:
  int32_t id() const { return id_; }
  std::span<const Header> headers() const { return headers_; }
  // Body bytes queued by send() that no frame carries yet.
  size_t queued_bytes() const { return queued_bytes_; }

  // For the handler; the connection does not touch it.
  void* user = nullptr;

 private:
  friend class Connection;
  friend struct ConnectionCallbacks;
  // The implementer completes this class in http2/stream.h style as needed (header storage, body queue, state).
  int32_t id_ = 0;
  std::vector<Header> headers_;
  size_t queued_bytes_ = 0;
};

}  // namespace fastserve::http2
