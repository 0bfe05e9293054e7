// One client connection of a load: a socket that never blocks, TLS over it where it is wanted, and
// the HTTP/2 session.
//
// Thread: the worker's that owns it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fastserve/base/buffer.h"
#include "fastserve/base/bytes.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/http2/client_session.h"
#include "fastserve/net/tls_context.h"
#include "fastserve/net/tls_session.h"

namespace fastserve::bench {

// Where a socket goes to, of any family.
struct Target {
  sockaddr_storage address{};
  socklen_t length = 0;
};

// The first address of `host` that takes a connection within `timeout`. Blocks.
// Errors: kUnavailable, kInvalidArgument; with the address and the system's reason.
Result<Target> find_target(const std::string& host, uint16_t port, Nanos timeout);
Result<Target> find_unix_target(const std::string& path, Nanos timeout);

// What sockets are read into; one for all connections of a thread.
struct ReadBuffers {
  Buffer received;  // of its whole size always
  Buffer plain;     // with TLS: what it held
};

class Connection {
 public:
  Connection() = default;
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to connect; descriptor() becomes writable when that is decided. `tls` may be null, and
  // outlives the connection.
  Status connect(const Target& target, const net::TlsContext* tls,
                 http2::ClientSession::Headers headers, http2::ReplySink* sink);
  // After the descriptor became writable.
  Status finish_connect();
  void close();
  // Reads what there is and hands it to the session. Not ok: the connection is over.
  // `on_read` is called after each read, before its answers are handed on: the time they came.
  template <typename OnRead>
  Status read(ReadBuffers* buffers, OnRead on_read);
  // Writes what the session wants to send, as far as the socket takes it.
  Status flush();

  bool is_closed() const { return descriptor_ < 0; }
  bool is_connecting() const { return is_connecting_; }
  // A write waits for the socket.
  bool is_blocked() const { return is_blocked_; }
  int descriptor() const { return descriptor_; }
  // Only while !is_closed().
  http2::ClientSession& session() { return *session_; }
  bool is_ready() const { return descriptor_ >= 0 && !is_connecting_; }
  size_t open_calls() const { return is_closed() ? 0 : session_->open_calls(); }
  // Takes one more call, `in_flight` at most.
  bool has_room(size_t in_flight) const {
    return descriptor_ >= 0 && !is_connecting_ && session_->open_calls() < in_flight &&
           session_->can_open();
  }

  // The worker's own notes.
  uint32_t index = 0;
  uint32_t generation = 0;  // of reconnects
  bool is_touched = false;
  Nanos reconnect_at = kNever;

 private:
  // 0: nothing now; -1: over, see *status.
  ssize_t read_some(Buffer* to, Status* status);
  Status receive_tls(ByteSpan bytes, Buffer* plain);
  Status write_out(Buffer* output);

  int descriptor_ = -1;
  bool is_connecting_ = false;
  bool is_blocked_ = false;
  size_t written_ = 0;  // of the output: the session's, or that of TLS
  std::optional<net::TlsSession> tls_;
  std::optional<http2::ClientSession> session_;
};

template <typename OnRead>
Status Connection::read(ReadBuffers* buffers, OnRead on_read) {
  Buffer& received = buffers->received;
  Status status;
  while (true) {
    const ssize_t size = read_some(&received, &status);
    if (size <= 0) return status;
    on_read();
    const ByteSpan bytes(received.data(), static_cast<size_t>(size));
    status = tls_ ? receive_tls(bytes, &buffers->plain) : session_->receive(bytes);
    // A short read emptied the socket: asking again would cost a system call for nothing.
    if (!status.ok() || bytes.size() < received.size()) return status;
  }
}

}  // namespace fastserve::bench
