// The server side of one HTTP/2 connection as a pure state machine over libnghttp2: bytes in,
// events out, bytes to send. No socket, no clock, no thread of its own.
//
// Thread: one connection is used by one thread at a time. receive(), produce() and the destructor
// may run events of the handler before they return; a handler may call respond, send, finish, reset
// and consume from inside an event, but not receive or produce.
//
// Memory: streams are pooled, request headers are counted references into the HPACK table or the
// decoded literal (never copied), and body bytes are framed straight into the caller's buffer.
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
#include "fastserve/http2/field_check.h"
#include "fastserve/http2/frame_scanner.h"
#include "fastserve/http2/glitch_limiter.h"
#include "fastserve/http2/handler.h"
#include "fastserve/http2/limits.h"
#include "fastserve/http2/session_memory.h"
#include "fastserve/http2/stream.h"

struct nghttp2_session;

namespace fastserve::http2 {

// RFC 9113, section 7; those that this program sends or looks at.
enum ErrorCode : uint32_t {
  kNoError = 0x0,
  kProtocolError = 0x1,
  kInternalError = 0x2,
  kFlowControlError = 0x3,
  kRefusedStream = 0x7,
  kCancel = 0x8,
  kEnhanceYourCalm = 0xb,
};

class Connection {
 public:
  static constexpr size_t kHighWaterBytes = 256 * 1024;
  static constexpr size_t kLowWaterBytes = 128 * 1024;

  // `handler` outlives the connection.
  Connection(const Limits& limits, Handler* handler);
  ~Connection();  // open streams get on_closed(kCancel)
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Feeds what the socket gave. Not ok: the connection is over and every stream got on_closed; send
  // what produce() still gives (a GOAWAY) and close.
  Status receive(ByteSpan bytes, Nanos now);
  // Appends frames that may be sent now to *out, stopping soon after `limit_bytes` (one DATA frame
  // or one header block). Returns true when more is ready.
  bool produce(Buffer* out, size_t limit_bytes);
  bool wants_write() const;

  // The answer to a stream, in this order: respond, any number of send, finish; or
  // respond_and_end alone. Calls for a stream that is gone do nothing. Names are lower case;
  // values hold what HTTP/2 allows (the caller checks).
  void respond(Stream& stream, std::span<const OutHeader> headers);
  void respond_and_end(Stream& stream, std::span<const OutHeader> headers);
  void send(Stream& stream, Buffer body);
  // Empty, with the memory of an earlier body where one was kept: for the next one.
  Buffer take_spare(Stream& stream) { return stream.body_.take_spare(); }
  // Trailers. The peer is told to stop sending (RST_STREAM NO_ERROR) when its request is not
  // complete by the time they are framed.
  void finish(Stream& stream, std::span<const OutHeader> trailers);
  // Drops what is queued and resets. on_closed follows when the reset is framed.
  void reset(Stream& stream, uint32_t error_code);
  // Returns `bytes` of on_data to the windows.
  void consume(Stream& stream, size_t bytes);

  // `on_dirty(owner)` runs when frames to send may have come up: at most once until the next
  // produce(), inside the call that brought them. May be left unset.
  void set_on_dirty(void (*on_dirty)(void* owner), void* owner) {
    on_dirty_ = on_dirty;
    on_dirty_owner_ = owner;
  }

  // Drain, first step: GOAWAY(2^31-1); second step: GOAWAY(last stream).
  void start_drain();
  void finish_drain();
  // Nothing more will come of it: drained or failed, no stream open, nothing to send.
  bool is_finished() const;

  size_t open_streams() const { return open_streams_; }
  // Body bytes received and not consumed, all streams.
  size_t unread_bytes() const { return unread_bytes_; }
  // The `now` of the latest receive().
  Nanos now() const { return now_; }
  const Limits& limits() const { return limits_; }

 private:
  friend struct ConnectionCallbacks;

  void open_session();
  Stream* take_stream(int32_t id);
  // Ends the handler's view of the stream; the library's may go on for a frame.
  void close_for_handler(Stream& stream, uint32_t error_code);
  void release_stream(Stream* stream);
  void fail(uint32_t goaway_code, std::string reason);
  Status failed_status() const;
  bool charge(int64_t tenths);
  void return_to_connection_window(size_t bytes);
  bool is_control_queue_full() const;
  void submit_headers(Stream& stream, std::span<const OutHeader> headers, bool end);
  void submit_trailers(Stream& stream);
  void resume(Stream& stream);
  void mark_dirty() {
    if (is_dirty_) return;
    is_dirty_ = true;
    if (on_dirty_ != nullptr) on_dirty_(on_dirty_owner_);
  }

  const Limits limits_;
  Handler* const handler_;
  SessionMemory memory_;
  GlitchLimiter limiter_;
  FrameScanner scanner_;
  FieldCheck fields_;
  nghttp2_session* session_ = nullptr;
  Nanos now_ = 0;
  Stream* decoding_ = nullptr;  // whose header block is being decoded
  Stream* latest_ = nullptr;    // the latest one looked up
  Buffer* out_ = nullptr;       // inside produce()
  size_t out_limit_ = 0;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> free_streams_;
  size_t open_streams_ = 0;
  size_t unread_bytes_ = 0;
  size_t credit_bytes_ = 0;       // consumed and not yet told to the library
  uint64_t late_resets_due_ = 0;  // answered streams that the peer may still reset for free
  void (*on_dirty_)(void* owner) = nullptr;
  void* on_dirty_owner_ = nullptr;
  bool is_dirty_ = false;
  bool failed_ = false;
  bool has_drain_notice_ = false;  // the first GOAWAY was submitted
  bool draining_ = false;          // the second
  std::string failure_;
};

}  // namespace fastserve::http2
