// A listening socket: accepts connections and spreads them evenly over the io threads.
//
// Each connection goes to the thread that has the fewest, the first of them in turn. (SO_REUSEPORT
// would spread by a hash of the address: four connections over two threads come out even in six
// cases of sixteen.)
//
// Accepting pauses for a moment when the server is full or the process has no file descriptor left.
// In the second case a reserve descriptor is given up to accept one connection and close it, so
// that a client learns at once that it is not served instead of waiting in the backlog.
#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/net/address.h"
#include "fastserve/net/io_thread.h"
#include "fastserve/net/tls_context.h"

namespace fastserve::net {

// A bound and listening socket, not yet served. Owns the descriptor and the name of a Unix socket.
class ListeningSocket {
 public:
  // Every address of `host`, all on one port (0: any that is free). *os_error is errno where the
  // system refused. Errors: kInvalidArgument (no such host), kUnavailable (cannot bind).
  static Result<std::vector<ListeningSocket>> bind_tcp(const std::string& host, uint16_t port,
                                                       int* os_error);
  // Replaces a socket file on which nobody listens any more; any other file is in the way.
  static Result<ListeningSocket> bind_unix(const std::string& path, int* os_error);

  ListeningSocket(ListeningSocket&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        path_(std::exchange(other.path_, {})),
        device_(other.device_),
        inode_(other.inode_),
        bound_(std::move(other.bound_)) {}
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  // Closes it and removes the Unix socket's file if it is still this one.
  ~ListeningSocket();

  int descriptor() const { return descriptor_; }
  const HostPort& bound() const { return bound_; }  // TCP

 private:
  explicit ListeningSocket(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
  std::string path_;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  HostPort bound_;
};

// Thread: that of threads[0], but for construction.
class Listener {
 public:
  // `threads` outlive the listener.
  Listener(ListeningSocket socket, std::shared_ptr<const TlsContext> tls,
           const std::vector<std::unique_ptr<IoThread>>* threads);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start();

 private:
  using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

  void wait();
  void accept_ready();
  void hand_over(int socket, const sockaddr_storage& address);
  void shed_one();
  void pause();
  bool is_full() const;

  ListeningSocket socket_;
  const std::shared_ptr<const TlsContext> tls_;
  const std::vector<std::unique_ptr<IoThread>>& threads_;
  IoThread& home_;
  Descriptor waiter_;  // borrows the descriptor of socket_
  // A handler that comes back after the listener died finds it false.
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
  Timer pause_timer_;
  int reserve_descriptor_ = -1;
  size_t next_thread_ = 0;
};

}  // namespace fastserve::net
