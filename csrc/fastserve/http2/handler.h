// What the layer above does with the streams of a connection.
#pragma once

#include <cstdint>

#include "fastserve/base/bytes.h"

namespace fastserve::http2 {

class Stream;

// Order for one stream: on_request once, on_data any number, on_end at most once, on_closed exactly
// once and last. A stream refused by the connection itself (limits, malformed headers) gets no
// event at all. Thread: the one that runs receive(), produce() or the destructor of the connection.
class Handler {
 public:
  virtual ~Handler() = default;
  // The header block is complete and within limits. stream.headers() stay valid until on_closed.
  virtual void on_request(Stream& stream) = 0;
  // Bytes of the body. They count against the windows until consume() returns them.
  virtual void on_data(Stream& stream, ByteSpan data) = 0;
  // The peer will send no more (END_STREAM).
  virtual void on_end(Stream& stream) = 0;
  // The stream is gone. `error_code` is NO_ERROR (0) exactly when the answer was fully sent.
  virtual void on_closed(Stream& stream, uint32_t error_code) = 0;
  // More body may be queued: what was queued fell under kLowWaterBytes after having been over
  // kHighWaterBytes.
  virtual void on_writable(Stream& stream) = 0;
};

}  // namespace fastserve::http2
