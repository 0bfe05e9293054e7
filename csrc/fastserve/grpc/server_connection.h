// The server side of one connection that speaks gRPC: an http2::Connection with gRPC on top.
// Bytes in, calls and messages out to a Front, bytes to send.
//
// Thread: one thread at a time. The owner feeds receive(), then drains with produce() at the end of
// its sweep, and writes what produce() appended.
#pragma once

#include <memory>
#include <string>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/grpc/call.h"
#include "fastserve/http2/connection.h"

namespace fastserve::grpc {

struct ConnectionOptions {
  http2::Limits http2;
  size_t max_message_bytes = 64u << 20;  // received, after inflating; more is RESOURCE_EXHAUSTED
  // Bytes of messages that have begun and not ended, all calls of the connection together. Past it
  // the call whose bytes came last is RESOURCE_EXHAUSTED, unless it is the only one.
  size_t max_assembling_bytes = 128u << 20;
};

class ServerConnection {
 public:
  // `front` outlives the connection.
  ServerConnection(const ConnectionOptions& options, Front* front);
  ~ServerConnection();  // every open call gets on_closed(cancelled)
  ServerConnection(const ServerConnection&) = delete;
  ServerConnection& operator=(const ServerConnection&) = delete;

  // What Call::peer() says; before the first receive().
  void set_peer(std::string peer);
  // `on_dirty(owner)` runs when there may be something to produce(): at most once until the next
  // produce(), inside the call that brought it (an answer of the front, credit, receive, drain).
  void set_on_dirty(void (*on_dirty)(void* owner), void* owner);

  // Feeds what the socket gave. When it is not ok the connection is over and every call got
  // on_closed(cancelled): send what produce() still gives (a GOAWAY) and close. Some protocol
  // errors show only when produce() frames their GOAWAY; is_finished() is true after that too.
  Status receive(ByteSpan bytes, Nanos now);
  // Appends frames that may be sent now to *out, stopping soon after `limit_bytes`. Returns true
  // when more is ready.
  bool produce(Buffer* out, size_t limit_bytes);
  bool wants_write() const;

  // Resets calls that made no progress since the previous call of this, for want of the peer: a
  // message began and no byte of it came, or an answer waits and no window for it came. Calls that
  // are quiet between messages, and those whose front holds their messages, are left alone.
  void reset_stalled_calls();

  // Drain, first step: GOAWAY(2^31-1, NO_ERROR) so that the peer opens no more streams.
  void start_drain();
  // Drain, second step, one round trip later: GOAWAY(last stream). Calls already open go on.
  void finish_drain();
  // No call open and nothing to send, after finish_drain() or a fatal error.
  bool is_finished() const;
  size_t open_calls() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastserve::grpc
