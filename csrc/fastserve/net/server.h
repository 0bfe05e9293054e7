// The transport: listeners and io threads around a front that it knows only as a LoopFront.
//
// Thread: one (the control plane's), for everything but the two counts.
//
// Order: listen_*, start, any number of listen_*, start_drain (optional), close. Each may be left
// out; close() may be called twice and is called by the destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/front/loop_front.h"
#include "fastserve/net/address.h"
#include "fastserve/net/io_thread.h"
#include "fastserve/net/listener.h"
#include "fastserve/net/options.h"
#include "fastserve/net/tls_context.h"

namespace fastserve::net {

class Server {
 public:
  // Fronts are made and destroyed on their io threads, in start() and in close().
  Server(const ServerOptions& options, front::LoopFrontFactory make_front);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds at once; connections are accepted from start() on, and wait in the backlog until then.
  // `tls` may be null. Returns what was bound. *os_error: errno when the system refused, else 0.
  Result<HostPort> listen_tcp(const std::string& host, uint16_t port,
                              std::shared_ptr<const TlsContext> tls, int* os_error);
  Status listen_unix(const std::string& path, int* os_error);

  Status start();
  // Stops accepting and tells every client to go (two-step GOAWAY). Calls in flight go on; each
  // connection closes after its last.
  void start_drain();
  // Cancels what is left, closes every connection and joins the io threads.
  void close();

  size_t open_calls() const;
  size_t open_connections() const;

 private:
  void add_listener(ListeningSocket socket, std::shared_ptr<const TlsContext> tls);
  void close_listeners();

  const front::LoopFrontFactory make_front_;
  Status failure_;  // of the constructor; everything else returns it
  bool is_started_ = false;
  bool is_closed_ = false;
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace fastserve::net
