// One socket and the protocol state machines over it: bytes between the socket, TLS (if any) and
// grpc::ServerConnection, timeouts, and an orderly end.
//
// Thread: its IoThread. A connection is *touched* when it may have something to do at the end of
// the sweep (it was read, or the front answered a call); flush() is called once for each touched
// one.
//
// State moves only down this list:
//   kOpen       serving
//   kClosing    protocol error or drained: the last bytes go out, nothing more is read into it
//   kLingering  our side of the socket is shut; what the peer still sends is thrown away until it
//               closes, since closing over unread bytes would reset the connection and could
//               destroy the last answers on their way
//   kClosed     the socket is closed; the object waits for its asynchronous operations to come back
#pragma once

#include <asio/basic_stream_socket.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/grpc/server_connection.h"
#include "fastserve/net/handler_memory.h"
#include "fastserve/net/tls_session.h"

namespace fastserve::net {

class IoThread;

// TCP and Unix sockets alike. The executor is named, not erased: no virtual calls per operation.
using Socket =
    asio::basic_stream_socket<asio::generic::stream_protocol, asio::io_context::executor_type>;

class Connection {
 public:
  // `tls` may be null. `loop` outlives the connection.
  Connection(IoThread* loop, Socket socket, std::string peer,
             std::shared_ptr<const TlsContext> tls);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Produces, writes once, reads on, and moves to the next state when it is time. Returns false
  // when the connection is over and may be deleted.
  bool flush();

  void start_drain();
  void finish_drain();
  // Closes now; calls in flight are cancelled. flush() says when it may be deleted.
  void close(bool with_reset = false);

  // Place in the loop's list of connections.
  size_t position = 0;

 private:
  enum class State : uint8_t { kOpen, kClosing, kLingering, kClosed };

  struct ReadHandler {
    using allocator_type = HandlerAllocator<std::byte>;
    allocator_type get_allocator() const noexcept { return allocator_type(&self->read_memory_); }
    void operator()(const std::error_code& error, size_t bytes) const {
      self->on_read(error, bytes);
    }
    Connection* self;
  };
  struct WriteHandler {
    using allocator_type = HandlerAllocator<std::byte>;
    allocator_type get_allocator() const noexcept { return allocator_type(&self->write_memory_); }
    void operator()(const std::error_code& error, size_t bytes) const {
      self->on_written(error, bytes);
    }
    Connection* self;
  };

  void touch();
  void on_read(const std::error_code& error, size_t bytes);
  void on_written(const std::error_code& error, size_t bytes);
  void on_timer(Nanos now);
  void feed(ByteSpan bytes, Nanos now);
  void read_on();
  void size_read_buffer();
  void write_out();
  bool produce(Buffer* out);
  bool send(Buffer* out);
  void begin_closing();
  void move_on();
  void check_by(Nanos when);

  IoThread* const loop_;
  Socket socket_;
  const std::shared_ptr<const TlsContext> tls_context_;
  std::unique_ptr<TlsSession> tls_;
  std::optional<grpc::ServerConnection> grpc_;  // gone when closed
  State state_ = State::kOpen;
  bool is_touched_ = false;
  bool is_reading_ = false;
  bool is_writing_ = false;
  bool is_trimming_ = false;  // the read was cancelled to give its buffer back
  bool has_more_ = false;     // produce() stopped at its limit
  size_t counted_calls_ = 0;  // of grpc_, as counted in the loop's total

  std::unique_ptr<std::byte[]> read_buffer_;
  uint32_t read_capacity_ = 0;
  uint32_t last_read_bytes_ = 0;
  uint32_t small_reads_ = 0;     // in a row
  size_t opening_bytes_ = 0;     // plain bytes until the preface was complete
  size_t unanswered_bytes_ = 0;  // read since the peer stopped reading

  Buffer unsent_;  // while is_writing_: from sent_bytes_ on
  size_t sent_bytes_ = 0;

  Timer timer_;
  Nanos opened_by_ = kNever;     // the preface must be complete
  Nanos closed_by_ = kNever;     // kClosing, kLingering
  Nanos write_progress_at_ = 0;  // while is_writing_
  Nanos last_read_at_ = 0;
  Nanos next_stall_check_ = kNever;

  HandlerMemory read_memory_;
  HandlerMemory write_memory_;
};

}  // namespace fastserve::net
