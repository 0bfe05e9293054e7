#include "fastserve/net/server.h"

#include <algorithm>
#include <exception>
#include <future>
#include <utility>

#include "fastserve/front/bridge.h"

namespace fastserve::net {

Server::Server(const ServerOptions& options, front::LoopFrontFactory make_front)
    : make_front_(std::move(make_front)) {
  const int count = std::clamp(options.io_threads, 1, front::kMaxBridgePorts);
  try {
    for (int index = 0; index < count; ++index) {
      threads_.push_back(std::make_unique<IoThread>(options, index));
    }
  } catch (const std::exception& error) {  // Asio, when no file descriptor is left
    failure_ = {Code::kResourceExhausted,
                "cannot make " + std::to_string(count) + " io threads: " + error.what()};
  }
}

Server::~Server() { close(); }

Result<HostPort> Server::listen_tcp(const std::string& host, uint16_t port,
                                    std::shared_ptr<const TlsContext> tls, int* os_error) {
  *os_error = 0;
  if (!failure_.ok()) return failure_;
  auto sockets = ListeningSocket::bind_tcp(host, port, os_error);
  if (!sockets.ok()) return sockets.status();
  const HostPort bound = sockets->front().bound();
  for (ListeningSocket& socket : *sockets) add_listener(std::move(socket), tls);
  return bound;
}

Status Server::listen_unix(const std::string& path, int* os_error) {
  *os_error = 0;
  if (!failure_.ok()) return failure_;
  auto socket = ListeningSocket::bind_unix(path, os_error);
  if (!socket.ok()) return socket.status();
  add_listener(std::move(*socket), nullptr);
  return ok_status();
}

void Server::add_listener(ListeningSocket socket, std::shared_ptr<const TlsContext> tls) {
  listeners_.push_back(std::make_unique<Listener>(std::move(socket), std::move(tls), &threads_));
  if (!is_started_) return;
  threads_.front()->post([listener = listeners_.back().get()] { listener->start(); });
}

Status Server::start() {
  if (!failure_.ok()) return failure_;
  if (is_started_ || is_closed_) {
    return {Code::kFailedPrecondition, "the server was started before; make a new one"};
  }
  for (size_t i = 0; i < threads_.size(); ++i) {
    Status status = threads_[i]->start(make_front_);
    if (status.ok()) continue;
    for (size_t started = 0; started < i; ++started) {
      threads_[started]->stop();
      threads_[started]->join();
    }
    listeners_.clear();
    is_closed_ = true;
    return status;
  }
  is_started_ = true;
  for (const auto& listener : listeners_) {
    threads_.front()->post([listener = listener.get()] { listener->start(); });
  }
  return ok_status();
}

// Listeners live on the first io thread; they must be gone when this returns, so that nobody waits
// in a backlog that nobody serves.
void Server::close_listeners() {
  if (listeners_.empty()) return;
  if (!is_started_) {
    listeners_.clear();
    return;
  }
  std::promise<void> closed;
  threads_.front()->post([this, &closed] {
    listeners_.clear();
    closed.set_value();
  });
  closed.get_future().wait();
}

void Server::start_drain() {
  if (!is_started_ || is_closed_) return;
  close_listeners();
  for (const auto& thread : threads_) thread->start_drain();
}

void Server::close() {
  if (is_closed_) return;
  close_listeners();
  is_closed_ = true;
  if (!is_started_) return;
  for (const auto& thread : threads_) thread->stop();
  for (const auto& thread : threads_) thread->join();
}

size_t Server::open_calls() const {
  size_t calls = 0;
  for (const auto& thread : threads_) calls += thread->open_calls();
  return calls;
}

size_t Server::open_connections() const {
  size_t connections = 0;
  for (const auto& thread : threads_) connections += thread->open_connections();
  return connections;
}

}  // namespace fastserve::net
