// One gRPC call as the server sees it, and what a front does with it. Sans-I/O: no socket, no
// clock, no thread of its own; everything here runs on the thread that owns the connection.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"

namespace fastserve::grpc {

struct Metadatum {
  std::string_view key;  // lower case; "-bin" keys hold decoded bytes in `value`
  std::string_view value;
  // Ours, of an answer: a key and a text that may be sent, not looked at again.
  bool is_known = false;
};

// Answers are queued in call order: [initial metadata] message* finish. Each call gets exactly one
// finish(). After on_closed the call must not be touched.
class Call {
 public:
  virtual ~Call() = default;

  // ":path", for example "/inference.GRPCInferenceService/ModelInfer". Valid while the call lives.
  virtual std::string_view path() const = 0;
  // Who calls, for logs: "ipv4:127.0.0.1:50123", "ipv6:[::1]:50123", "unix:"; empty if the owner of
  // the connection did not say. Valid while the call lives.
  virtual std::string_view peer() const { return {}; }
  // Point on the monotonic clock, made from grpc-timeout when the headers arrived; kNever if none.
  virtual Nanos deadline() const = 0;
  // First value of a request header by lower-case name, raw (not base64-decoded); empty if absent.
  virtual std::string_view header(std::string_view name) const = 0;
  // All user metadata (reserved HTTP/2 and grpc-* headers left out), "-bin" decoded. Allocates; not
  // for the hot path. Views valid until the next call of metadata() on this connection's thread.
  virtual std::span<const Metadatum> metadata() = 0;

  // Custom initial metadata; only before the first message. "-bin" values are encoded here.
  virtual void send_initial_metadata(std::span<const Metadatum> metadata) = 0;
  // A message to the peer. The buffer starts with kMessageHeadroom bytes that the call fills in
  // (compressed flag and length), then the serialised message. Compressed when the peer accepts
  // gzip and set_compression(true) was called.
  virtual void send_message(Buffer framed) = 0;
  // An empty buffer for a later message, of this call or another: with memory where the connection
  // has some to spare.
  virtual Buffer take_spare() { return {}; }
  virtual void set_compression(bool on) = 0;
  // Ends the call: trailers with grpc-status and, percent-encoded, grpc-message. Without a message
  // before it the answer is trailers-only.
  virtual void finish(const Status& status, std::span<const Metadatum> trailers = {}) = 0;

  // Flow control for fronts that hold messages: while `held` the connection stops granting window
  // for this stream. Messages are credited back to the peer when on_message returns, unless
  // hold_messages(true); then by credit(bytes).
  virtual void hold_messages(bool on) = 0;
  virtual void credit(size_t bytes) = 0;
  // Bytes queued towards the peer and not yet framed.
  virtual size_t queued_bytes() const = 0;

  // For the front; the call does not touch them. The tag says what `user` points to.
  void* user = nullptr;
  uint32_t user_tag = 0;
};

inline constexpr size_t kMessageHeadroom = 5;

// Who serves calls. One per connection owner thread; called on that thread only.
class Front {
 public:
  virtual ~Front() = default;
  // Headers arrived and are valid gRPC. The front may finish() at once (unknown method, refused).
  virtual void on_call(Call& call) = 0;
  // One whole message, inflated, its end 16-byte aligned. The front may take the buffer
  // (swap/move).
  virtual void on_message(Call& call, Buffer& message) = 0;
  // The peer half-closed.
  virtual void on_half_close(Call& call) = 0;
  // The peer reads again after the queue was over the high-water mark (256 KiB).
  virtual void on_writable(Call& call) = 0;
  // The call is gone: finished and sent, reset by the peer (`cancelled`), or its connection died
  // (`cancelled`). Last event of every call that had on_call.
  virtual void on_closed(Call& call, bool cancelled) = 0;
};

}  // namespace fastserve::grpc
