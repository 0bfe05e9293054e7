// Network addresses as people write them and as logs show them.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "fastserve/base/status.h"

namespace fastserve::net {

struct HostPort {
  std::string host;  // a name or a literal; an IPv6 literal without its brackets
  uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// "localhost:8001", "0.0.0.0:0", "[::1]:8001". The host must be given: a server that listens on all
// addresses says so. Errors: kInvalidArgument, which names the text.
Result<HostPort> parse_host_port(std::string_view text);

// The inverse: brackets around a host that holds a colon.
std::string format_host_port(const HostPort& address);

// The numeric host and port of a socket address; empty host for other families.
HostPort host_port_of(const sockaddr_storage& address);

// As gRPC names peers: "ipv4:127.0.0.1:50123", "ipv6:[::1]:50123", "unix:".
std::string format_peer(const sockaddr_storage& address);

}  // namespace fastserve::net
