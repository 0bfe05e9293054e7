#include "fastserve/net/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fastserve::net {
namespace {

constexpr Nanos kPause = 50 * kMillisecond;
// Accepted in one go; the loop's other events have their turn between.
constexpr int kAcceptsPerSweep = 64;
// Ports tried when any will do and a host has several addresses.
constexpr int kPortTries = 16;

Status cannot_listen(const std::string& address, int error) {
  return {Code::kUnavailable,
          "cannot listen on " + address + ": " + std::system_category().message(error)};
}

int listen_on(const addrinfo& info, uint16_t port) {
  const int descriptor =
      socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, info.ai_protocol);
  if (descriptor < 0) return -1;
  const int on = 1;
  const int off = 0;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage address{};
  std::memcpy(&address, info.ai_addr, info.ai_addrlen);
  if (info.ai_family == AF_INET6) {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address);
    ipv6.sin6_port = htons(port);
    // "[::]" is every address, IPv4 too, whatever the system's default is.
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  } else {
    reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
  }
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), info.ai_addrlen) == 0 &&
      listen(descriptor, SOMAXCONN) == 0) {
    return descriptor;
  }
  const int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

HostPort bound_address(int descriptor) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length);
  return host_port_of(address);
}

// Whether nobody listens behind a socket file.
bool is_stale(const sockaddr_un& address) {
  struct stat status;
  if (lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return false;
  const int result = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const bool is_refused = result != 0 && errno == ECONNREFUSED;
  close(probe);
  return is_refused;
}

}  // namespace

Result<std::vector<ListeningSocket>> ListeningSocket::bind_tcp(const std::string& host,
                                                               uint16_t port, int* os_error) {
  *os_error = 0;
  const std::string text = format_host_port({host, port});
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* first = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &first); error != 0) {
    return invalid_argument("cannot listen on " + text + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(first, freeaddrinfo);
  int error = 0;
  for (int tries = port == 0 ? kPortTries : 1; tries > 0; --tries) {
    std::vector<ListeningSocket> sockets;
    uint16_t chosen = port;
    error = 0;
    for (const addrinfo* info = first; info != nullptr; info = info->ai_next) {
      if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
      const int descriptor = listen_on(*info, chosen);
      if (descriptor < 0) {
        // A machine without IPv6 still resolves names to it.
        if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
          if (error == 0) error = errno;
          continue;
        }
        error = errno;
        sockets.clear();
        break;
      }
      ListeningSocket socket(descriptor);
      socket.bound_ = bound_address(descriptor);
      chosen = socket.bound_.port;
      sockets.push_back(std::move(socket));
    }
    if (!sockets.empty()) return sockets;
    if (error != EADDRINUSE) break;
  }
  *os_error = error;
  return cannot_listen(text, error);
}

Result<ListeningSocket> ListeningSocket::bind_unix(const std::string& path, int* os_error) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  *os_error = 0;
  if (path.empty() || path.size() >= sizeof(address.sun_path) ||
      path.find('\0') != std::string::npos) {
    return invalid_argument("cannot listen on unix:" + path + ": the path must have 1 to " +
                            std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  ListeningSocket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto bind_here = [&] {
    return bind(socket.descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  };
  int result = bind_here();
  if (result != 0 && errno == EADDRINUSE && is_stale(address)) {
    unlink(address.sun_path);
    result = bind_here();
  }
  if (result != 0 || listen(socket.descriptor_, SOMAXCONN) != 0) {
    *os_error = errno;
    return cannot_listen("unix:" + path, *os_error);
  }
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) {
    socket.path_ = path;
    socket.device_ = status.st_dev;
    socket.inode_ = status.st_ino;
  }
  return socket;
}

ListeningSocket::~ListeningSocket() {
  if (descriptor_ < 0) return;
  struct stat status {};
  // Another server may have taken the name since.
  if (!path_.empty() && lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ &&
      status.st_ino == inode_) {
    unlink(path_.c_str());
  }
  close(descriptor_);
}

Listener::Listener(ListeningSocket socket, std::shared_ptr<const TlsContext> tls,
                   const std::vector<std::unique_ptr<IoThread>>* threads)
    : socket_(std::move(socket)),
      tls_(std::move(tls)),
      threads_(*threads),
      home_(*threads_.front()),
      waiter_(home_.context()),
      reserve_descriptor_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {
  pause_timer_.set([](Timer&, void* self, Nanos) { static_cast<Listener*>(self)->accept_ready(); },
                   this);
}

Listener::~Listener() {
  *is_alive_ = false;
  home_.timers().disarm(pause_timer_);
  if (waiter_.is_open()) waiter_.release();  // socket_ closes it
  if (reserve_descriptor_ >= 0) close(reserve_descriptor_);
}

void Listener::start() {
  std::error_code ignored;
  waiter_.assign(socket_.descriptor(), ignored);
  wait();
}

void Listener::wait() {
  waiter_.async_wait(Descriptor::wait_read,
                     [this, is_alive = is_alive_](const std::error_code& error) {
                       if (*is_alive && !error) accept_ready();
                     });
}

bool Listener::is_full() const {
  size_t open = 0;
  for (const auto& thread : threads_) open += thread->open_connections();
  return open >= home_.options().max_connections;
}

void Listener::accept_ready() {
  for (int accepts = 0; accepts < kAcceptsPerSweep; ++accepts) {
    if (is_full()) {
      pause();
      return;
    }
    sockaddr_storage address{};
    socklen_t length = sizeof(address);
    const int socket = accept4(socket_.descriptor(), reinterpret_cast<sockaddr*>(&address), &length,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket >= 0) {
      hand_over(socket, address);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    if (errno == EMFILE || errno == ENFILE) {
      shed_one();
      pause();
      return;
    }
    if (errno == ENOBUFS || errno == ENOMEM) {
      pause();
      return;
    }
    // Anything else is the fate of one connection that died in the backlog (accept(2)).
  }
  wait();
}

void Listener::hand_over(int socket, const sockaddr_storage& address) {
  if (address.ss_family != AF_UNIX) {
    const int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  size_t best = next_thread_;
  for (size_t i = 1; i < threads_.size(); ++i) {
    const size_t other = (next_thread_ + i) % threads_.size();
    if (threads_[other]->open_connections() < threads_[best]->open_connections()) best = other;
  }
  next_thread_ = (best + 1) % threads_.size();
  threads_[best]->adopt(socket, format_peer(address), tls_);
}

void Listener::shed_one() {
  if (reserve_descriptor_ >= 0) close(reserve_descriptor_);
  const int socket = accept4(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
  if (socket >= 0) close(socket);
  reserve_descriptor_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void Listener::pause() { home_.timers().arm(pause_timer_, home_.now() + kPause); }

}  // namespace fastserve::net
