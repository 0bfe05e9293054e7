#include "fastserve/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <charconv>

namespace fastserve::net {
namespace {

Status bad_address(std::string_view text, std::string_view why) {
  return invalid_argument("address '" + std::string(text) + "' " + std::string(why) +
                          "; expected HOST:PORT, for example 127.0.0.1:8001 or [::1]:8001");
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return bad_address(text, "has no closing bracket");
    host = text.substr(1, end - 1);
    if (text.substr(end + 1, 1) != ":") return bad_address(text, "has no port");
    port = text.substr(end + 2);
    std::array<unsigned char, sizeof(in6_addr)> parsed;
    if (inet_pton(AF_INET6, std::string(host).c_str(), parsed.data()) != 1) {
      return bad_address(text, "has no IPv6 address between its brackets");
    }
  } else {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return bad_address(text, "has no port");
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return bad_address(text, "has more than one colon; put brackets around an IPv6 address");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (host.empty()) return bad_address(text, "has no host");
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '/' || c == ']') {
      return bad_address(text, "has a character in its host that no host name may hold");
    }
  }
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size()) {
    return bad_address(text, "has a port that is not a number from 0 to 65535");
  }
  return HostPort{std::string(host), number};
}

std::string format_host_port(const HostPort& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

HostPort host_port_of(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &ipv4.sin_addr, text.data(), text.size());
    return {text.data(), ntohs(ipv4.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &ipv6.sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(ipv6.sin6_port)};
  }
  return {};
}

std::string format_peer(const sockaddr_storage& address) {
  switch (address.ss_family) {
    case AF_INET:
      return "ipv4:" + format_host_port(host_port_of(address));
    case AF_INET6:
      return "ipv6:" + format_host_port(host_port_of(address));
    case AF_UNIX:
      return "unix:";
    default:
      return {};
  }
}

}  // namespace fastserve::net
