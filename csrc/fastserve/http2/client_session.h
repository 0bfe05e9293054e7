// The client's end of one HTTP/2 connection that sends the same request over and over, for a load
// generator: a call costs it a copy of some hundred prepared bytes and a walk over the answer's
// frames.
//
// libnghttp2's client session, which h2load uses, keeps a stream object, a data source, an outbound
// queue and a priority tree for each request and encodes the same headers every time. Here the
// header block is encoded once (by libnghttp2's HPACK, until two blocks in a row are equal, so all
// fields are in the peer's table), the answer's body is counted and not kept, and a stream is one
// slot of an open-addressing table. What a peer may do, it may do: any split of the bytes,
// CONTINUATION, padding, late SETTINGS, small windows, GOAWAY, pushes refused. A connection is only
// as patient as the peers that one aims a load at: whatever breaks the protocol ends it.
//
// Pure: no socket and no clock. Thread: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"

struct nghttp2_hd_deflater;
struct nghttp2_hd_inflater;

namespace fastserve::http2 {

// What the caller wants to have back with the answer.
struct Ticket {
  Nanos due = 0;
  Nanos sent = 0;
  uint32_t group = 0;
};

// How a call ended.
struct Reply {
  static constexpr int kNoStatus = -1;
  static constexpr uint32_t kNoError = 0;

  int http_status = 0;
  int grpc_status = kNoStatus;
  uint64_t body_bytes = 0;             // of DATA frames: messages with their prefixes
  uint32_t error_code = kNoError;      // of RST_STREAM, or REFUSED_STREAM below a GOAWAY
  std::string_view grpc_message = {};  // percent-encoded, of errors alone; valid during the call
};

class ReplySink {
 public:
  virtual void on_reply(const Ticket& ticket, const Reply& reply) = 0;

 protected:
  ~ReplySink() = default;
};

class ClientSession {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  // `headers` go with every request, pseudo-headers first. The sink outlives the session.
  ClientSession(Headers headers, ReplySink* sink);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // The peer's SETTINGS came: it speaks HTTP/2 with us.
  bool is_settled() const { return is_settled_; }
  // Settled, the peer takes one more stream and no GOAWAY stands.
  bool can_open() const {
    return is_settled_ && !is_closing_ && open_count_ < peer_max_streams_ &&
           next_id_ <= kMaxStreamId;
  }
  // No call may be opened any more; once open_calls() is 0 the connection is of no use.
  bool is_closing() const { return is_closing_ || next_id_ > kMaxStreamId; }
  size_t open_calls() const { return open_count_; }

  // Sends `body` (gRPC prefix included; lives until the reply) in a new stream, as far as the
  // windows let it; the rest follows from receive(). Only when can_open(). Returns the stream's id.
  uint32_t open(ByteSpan body, const Ticket& ticket);
  // Resets the stream with CANCEL and forgets it without a reply. False when it is gone already.
  bool cancel(uint32_t id, Ticket* ticket);
  // Takes what the peer sent, calls the sink. Not ok: the connection is over, close it.
  Status receive(ByteSpan bytes);
  // Forgets every open call, telling each to `on_ticket`; the session is of no use then.
  template <typename OnTicket>
  void abandon(OnTicket on_ticket) {
    is_closing_ = true;
    waiting_.clear();
    for (Stream& stream : streams_) {
      if (stream.id != 0) on_ticket(stream.ticket);
      stream.id = 0;
    }
    open_count_ = 0;
  }

  // Bytes for the socket; the caller sends and clears them.
  Buffer& output() { return output_; }

 private:
  static constexpr uint32_t kMaxStreamId = 0x7fffffff;
  static constexpr size_t kFrameHeaderBytes = 9;

  struct Stream {
    uint32_t id = 0;  // 0: a free slot
    bool is_sent = false;
    int16_t http_status = 0;
    int16_t grpc_status = Reply::kNoStatus;
    int64_t window = 0;
    uint64_t received = 0;
    Ticket ticket;
    ByteSpan unsent;
  };
  struct Frame {
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
    ByteSpan payload;
  };

  void encode_headers();
  size_t home_of(uint32_t id) const { return (id >> 1) & (streams_.size() - 1); }
  Stream* find(uint32_t id);
  Stream& insert(uint32_t id);
  void erase(Stream* stream);
  void end(Stream* stream, uint32_t error_code);

  Status on_frame(const Frame& frame);
  Status on_data(const Frame& frame);
  Status on_header_frame(const Frame& frame);
  Status on_header_block(uint32_t id, uint8_t flags, ByteSpan block);
  void on_field(Stream* stream, std::string_view name, std::string_view value);
  Status on_settings(const Frame& frame);
  Status on_window_update(const Frame& frame);
  void on_goaway(const Frame& frame);

  void send_body(Stream* stream);
  void resume_bodies();
  void put_frame_header(size_t length, uint8_t type, uint8_t flags, uint32_t stream);
  void put_number(uint32_t value);

  Headers headers_;
  ReplySink* const sink_;
  nghttp2_hd_deflater* deflater_ = nullptr;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string block_;  // the encoded headers
  bool is_block_stable_ = false;

  std::vector<Stream> streams_;  // a power of two, at most half of it in use
  size_t open_count_ = 0;
  uint32_t next_id_ = 1;
  std::deque<uint32_t> waiting_;  // streams with unsent bytes, oldest first

  bool is_settled_ = false;
  bool is_closing_ = false;
  uint32_t peer_max_streams_ = UINT32_MAX;
  int64_t peer_stream_window_ = 65535;
  int64_t send_window_ = 65535;
  size_t peer_max_frame_ = 16384;
  uint64_t unacknowledged_ = 0;  // bytes received since the last WINDOW_UPDATE

  std::string partial_;        // a frame that has not come whole
  uint32_t block_stream_ = 0;  // a header block that goes on in CONTINUATION
  uint8_t block_flags_ = 0;
  std::string block_parts_;
  std::string message_;  // grpc-message of the header block being read
  Buffer output_;
};

}  // namespace fastserve::http2
