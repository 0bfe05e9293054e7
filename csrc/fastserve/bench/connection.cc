#include "fastserve/bench/connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace fastserve::bench {
namespace {

using Fault = net::TlsSession::Fault;

std::string reason_of(int error) {
  char text[128];
  return strerror_r(error, text, sizeof text);
}

Status cannot_connect(const std::string& where, int error) {
  return {Code::kUnavailable, "cannot connect to " + where + ": " + reason_of(error)};
}

// 0 or the error number; `timeout` bounds the wait.
int try_connect(const Target& target, Nanos timeout) {
  const int descriptor =
      socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return errno;
  int error = 0;
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&target.address), target.length)) {
    error = errno;
    if (error == EINPROGRESS) {
      pollfd ready{descriptor, POLLOUT, 0};
      const int count = poll(&ready, 1, static_cast<int>(timeout / kMillisecond));
      socklen_t length = sizeof error;
      if (count == 0) {
        error = ETIMEDOUT;
      } else {
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
      }
    }
  }
  close(descriptor);
  return error;
}

// The option of `fastserve bench` that mends it.
std::string_view advice_for(Fault fault) {
  switch (fault) {
    case Fault::kAuthority:
      return "; --tls-ca FILE says whom to trust";
    case Fault::kName:
      return "; --tls-server-name NAME says whom to expect";
    case Fault::kCertificate:
      return "; does it ask for a certificate that it trusts? --tls-cert FILE --tls-key FILE";
    case Fault::kNoTls:
      return "; is it a server without TLS?";
    case Fault::kOther:
      break;
  }
  return "";
}

}  // namespace

Result<Target> find_target(const std::string& host, uint16_t port, Nanos timeout) {
  const std::string where = host + " port " + std::to_string(port);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0) {
    return Status{Code::kUnavailable, "cannot connect to " + where + ": " + gai_strerror(failure)};
  }
  int error = EADDRNOTAVAIL;
  Target target;
  for (const addrinfo* each = found; each != nullptr && error != 0; each = each->ai_next) {
    target.length = each->ai_addrlen;
    std::memcpy(&target.address, each->ai_addr, each->ai_addrlen);
    error = try_connect(target, timeout);
  }
  freeaddrinfo(found);
  if (error != 0) return cannot_connect(where, error);
  return target;
}

Result<Target> find_unix_target(const std::string& path, Nanos timeout) {
  Target target;
  auto& address = reinterpret_cast<sockaddr_un&>(target.address);
  if (path.size() >= sizeof address.sun_path) {
    return invalid_argument("the path of the Unix socket is longer than the system allows");
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  target.length = sizeof address;
  const int error = try_connect(target, timeout);
  if (error != 0) return cannot_connect("unix:" + path, error);
  return target;
}

Status Connection::connect(const Target& target, const net::TlsContext* tls,
                           http2::ClientSession::Headers headers, http2::ReplySink* sink) {
  close();
  descriptor_ = socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor_ < 0) return {Code::kResourceExhausted, "no socket: " + reason_of(errno)};
  if (target.address.ss_family != AF_UNIX) {
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  session_.emplace(std::move(headers), sink);
  written_ = 0;
  tls_.reset();
  if (tls != nullptr) {
    tls_.emplace(*tls);
    Buffer none;
    if (Status status = tls_->decrypt({}, &none); !status.ok()) {
      close();
      return status;
    }
  }
  is_blocked_ = false;
  is_connecting_ = true;
  ++generation;
  const auto* address = reinterpret_cast<const sockaddr*>(&target.address);
  // EAGAIN: the backlog of a Unix socket is full; asked again like any that fails.
  if (::connect(descriptor_, address, target.length) == 0 || errno == EINPROGRESS) {
    return ok_status();
  }
  const int error = errno;
  close();
  return {Code::kUnavailable, reason_of(error)};
}

Status Connection::finish_connect() {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    close();
    return {Code::kUnavailable, reason_of(error)};
  }
  is_connecting_ = false;
  return ok_status();
}

void Connection::close() {
  if (descriptor_ < 0) return;
  if (tls_ && !is_connecting_) {
    // The alert or the goodbye, as far as the socket takes it: the server may say why in its log.
    tls_->close();
    static_cast<void>(write_out(&tls_->output()));
  }
  ::close(std::exchange(descriptor_, -1));
  is_connecting_ = false;
  is_blocked_ = false;
}

ssize_t Connection::read_some(Buffer* to, Status* status) {
  while (true) {
    const ssize_t size = recv(descriptor_, to->data(), to->size(), 0);
    if (size > 0) return size;
    const int error = errno;
    if (size < 0 && error == EINTR) continue;
    if (size < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return 0;
    std::string why = size == 0 ? "the server closed the connection"
                                : "the connection was lost: " + reason_of(error);
    if (tls_ && !tls_->is_established()) {
      why += " during the TLS handshake";
    } else if (tls_ && !session_->is_settled()) {
      // With TLS 1.3 a server looks at our certificate last; some close without an alert.
      why += " after the TLS handshake" + std::string(advice_for(Fault::kCertificate));
    }
    *status = {Code::kUnavailable, std::move(why)};
    return -1;
  }
}

Status Connection::receive_tls(ByteSpan bytes, Buffer* plain) {
  plain->clear();
  const Status status = tls_->decrypt(bytes, plain);
  // What came before the end counts.
  if (!plain->empty()) {
    if (Status broken = session_->receive(plain->bytes()); !broken.ok()) return broken;
  }
  if (status.ok()) return status;
  if (status.code() == Code::kCancelled) {
    return {Code::kUnavailable, "the server closed the connection"};
  }
  return {Code::kUnavailable, status.message() + std::string(advice_for(tls_->fault()))};
}

Status Connection::flush() {
  if (!tls_) return write_out(&session_->output());
  if (tls_->is_established()) {
    Buffer& plain = session_->output();
    if (Status status = tls_->encrypt(plain.bytes()); !status.ok()) return status;
    plain.clear();
  }
  return write_out(&tls_->output());
}

Status Connection::write_out(Buffer* output) {
  is_blocked_ = false;
  while (written_ < output->size()) {
    const ssize_t size =
        send(descriptor_, output->data() + written_, output->size() - written_, MSG_NOSIGNAL);
    if (size >= 0) {
      written_ += static_cast<size_t>(size);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      is_blocked_ = true;
      return ok_status();
    } else if (errno != EINTR) {
      return {Code::kUnavailable, "the connection was lost: " + reason_of(errno)};
    }
  }
  output->clear();
  written_ = 0;
  return ok_status();
}

}  // namespace fastserve::bench
