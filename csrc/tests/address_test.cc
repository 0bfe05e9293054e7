#include "fastserve/net/address.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

namespace fastserve::net {
namespace {

TEST_CASE("address reads names, IPv4 and bracketed IPv6 with a port") {
  CHECK(parse_host_port("localhost:8001").value() == HostPort{"localhost", 8001});
  CHECK(parse_host_port("0.0.0.0:0").value() == HostPort{"0.0.0.0", 0});
  CHECK(parse_host_port("[::1]:65535").value() == HostPort{"::1", 65535});
}

TEST_CASE("address refuses what is not HOST:PORT and names the text") {
  for (const char* text :
       {"", ":", "localhost", ":8001", "localhost:", "localhost:65536", "localhost:-1",
        "localhost:80x", "localhost: 80", "::1:80", "[::1]", "[::1]80", "[::1:80", "[]:80",
        "[localhost]:80", "a b:80", "a/b:80", "host\n:80", "[::1]]:80"}) {
    CAPTURE(text);
    const auto parsed = parse_host_port(text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.status().code() == Code::kInvalidArgument);
    CHECK(parsed.status().message().find("'" + std::string(text) + "'") != std::string::npos);
  }
}

TEST_CASE("address writes what it reads") {
  for (const char* text : {"localhost:8001", "127.0.0.1:1", "[fe80::1]:50051"}) {
    CHECK(format_host_port(parse_host_port(text).value()) == text);
  }
}

TEST_CASE("address names peers as gRPC does") {
  sockaddr_storage storage{};
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(storage);
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(50123);
  ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(format_peer(storage) == "ipv4:127.0.0.1:50123");
  storage = {};
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(storage);
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(7);
  ipv6.sin6_addr = in6addr_loopback;
  CHECK(format_peer(storage) == "ipv6:[::1]:7");
  storage = {};
  storage.ss_family = AF_UNIX;
  CHECK(format_peer(storage) == "unix:");
}

}  // namespace
}  // namespace fastserve::net
