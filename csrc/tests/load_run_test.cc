#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fastserve/bench/reply_status.h"
#include "fastserve/bench/run.h"
#include "fastserve/net/server.h"
#include "fastserve/net/tls_context.h"
#include "tests/echo_front.h"
#include "tests/identity.h"

namespace fastserve::bench {
namespace {

using net::testing::identities;
using Tls = std::shared_ptr<const net::TlsContext>;

Tls server_tls(bool asks_client = false) {
  const auto made =
      net::TlsContext::make(identities().server.certificate_pem(), identities().server.key_pem(),
                            asks_client ? identities().authority.certificate_pem() : "");
  REQUIRE(made.ok());
  return made.value();
}

Tls client_tls(const std::string& name = "127.0.0.1",
               const net::testing::Identity& authority = identities().authority) {
  const auto made = net::TlsContext::make_client(name, authority.certificate_pem(), "", "");
  REQUIRE(made.ok());
  return made.value();
}

struct House {
  explicit House(const Tls& tls = nullptr) {
    net::ServerOptions options;
    options.io_threads = 1;
    server = std::make_unique<net::Server>(options, echo.factory());
    const auto bound = server->listen_tcp("127.0.0.1", 0, tls, &os_error);
    REQUIRE(bound.ok());
    port = bound.value().port;
    REQUIRE(server->start().ok());
  }
  LoadOptions options(std::string path = "/test/echo") const {
    LoadOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    options.authority = "localhost";
    options.path = std::move(path);
    options.payloads = {make_payload("hello", 0)};
    options.connect_timeout = 20 * kSecond;
    options.drain = 20 * kSecond;
    return options;
  }

  net::testing::EchoHouse echo;
  std::unique_ptr<net::Server> server;
  int os_error = 0;
  uint16_t port = 0;
};

Snapshot finish(LoadOptions options) {
  auto run = LoadRun::start(std::move(options));
  REQUIRE(run.ok());
  REQUIRE(run.value()->wait(monotonic_now() + 60 * kSecond));
  return run.value()->snapshot();
}

uint64_t total(const std::vector<uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

TEST_CASE("load_run answers every request of a closed loop, over threads, connections, groups") {
  House house;
  LoadOptions options = house.options();
  options.threads = 2;
  options.connections = 3;
  options.in_flight = 4;
  options.max_requests = 1001;
  options.groups = 2;
  options.payloads = {make_payload("hello", 0), make_payload(std::string(100'000, 'x'), 1)};
  const Snapshot got = finish(options);
  CHECK(got.is_done);
  CHECK(got.failure.empty());
  CHECK(got.sent == 1001);
  CHECK(got.connects == 3);
  CHECK(got.unanswered == 0);
  CHECK(got.groups[0].statuses[0] + got.groups[1].statuses[0] == 1001);
  CHECK(got.groups[1].statuses[0] >= 499);
  CHECK(got.received_bytes == got.groups[0].statuses[0] * 10 + got.groups[1].statuses[0] * 100'005);
  CHECK(total(got.groups[0].latency) == got.groups[0].measured_ok);
  CHECK(total(got.delay) == 1001);
  CHECK(house.echo.opened == 1001);
}

TEST_CASE("load_run answers every request over TLS, of any size, on every connection") {
  House house(server_tls());
  LoadOptions options = house.options();
  options.tls = client_tls();
  options.threads = 2;
  options.connections = 3;
  options.in_flight = 4;
  options.max_requests = 300;
  options.groups = 2;
  options.payloads = {make_payload("hello", 0), make_payload(std::string(100'000, 'x'), 1)};
  const Snapshot got = finish(options);
  CHECK(got.failure.empty());
  CHECK(got.connects == 3);
  CHECK(got.lost == 0);
  CHECK(got.groups[0].statuses[0] + got.groups[1].statuses[0] == 300);
  CHECK(got.received_bytes == got.groups[0].statuses[0] * 10 + got.groups[1].statuses[0] * 100'005);
  options.path = "/big/1000000";
  options.max_requests = 20;
  options.per_second = 1000;
  CHECK(finish(options).received_bytes == 20 * 1'000'005);
}

TEST_CASE("load_run ends at its start with what the TLS handshake failed by and how to mend it") {
  House secure(server_tls());
  const auto check = [](const House& house, const Tls& tls, std::vector<std::string> parts) {
    LoadOptions options = house.options();
    options.tls = tls;
    options.max_requests = 1;
    const Snapshot got = finish(options);
    CHECK(got.sent == 0);
    CAPTURE(got.failure);
    CHECK(got.failure.starts_with("a connection failed before the load began: "));
    for (const std::string& part : parts) CHECK(got.failure.find(part) != std::string::npos);
  };
  check(secure, client_tls("127.0.0.1", identities().stranger),
        {"certificate verify failed", "--tls-ca FILE"});
  check(secure, client_tls("other.test"),
        {"expected 'other.test'", "'models.test'", "--tls-server-name NAME"});
  House mutual(server_tls(true));
  check(mutual, client_tls(), {"certificate required", "--tls-cert FILE --tls-key FILE"});
  House plain;
  check(plain, client_tls(), {"TLS handshake failed", "is it a server without TLS?"});
  CHECK(secure.echo.opened + mutual.echo.opened + plain.echo.opened == 0);
}

TEST_CASE("load_run asks a server that says nothing whether it speaks what was expected") {
  for (const bool has_tls : {false, true}) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(listen(listener, 8) == 0);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    LoadOptions options;
    options.host = "127.0.0.1";
    options.port = ntohs(address.sin_port);
    options.payloads = {make_payload("", 0)};
    options.max_requests = 1;
    options.connect_timeout = 50 * kMillisecond;
    if (has_tls) options.tls = client_tls();
    const Snapshot got = finish(options);
    CAPTURE(got.failure);
    CHECK(got.failure.find(has_tls ? "HTTP/2 with TLS?" : "HTTP/2 without TLS?") !=
          std::string::npos);
    close(listener);
  }
}

TEST_CASE("load_run sends each request of an open loop once, when it is due") {
  House house;
  LoadOptions options = house.options();
  options.per_second = 2000;
  options.arrivals = Arrivals::kConstant;
  options.threads = 2;
  options.connections = 2;
  options.in_flight = 1000;
  options.duration = 250 * kMillisecond;
  const Snapshot got = finish(options);
  CHECK(got.sent == 500);
  CHECK(got.groups[0].statuses[0] == 500);
}

TEST_CASE("load_run counts a wait for a free call from when the request was due") {
  House house;
  LoadOptions options = house.options("/test/hold");
  options.per_second = 1000;
  options.arrivals = Arrivals::kConstant;
  options.in_flight = 1;
  options.max_requests = 100;
  auto run = LoadRun::start(options);
  REQUIRE(run.ok());
  // The only call is held: the schedule goes on without it.
  while (run.value()->snapshot().sent == 0 ||
         monotonic_now() < run.value()->snapshot().began + 200 * kMillisecond) {
    std::this_thread::yield();
  }
  CHECK(run.value()->snapshot().sent == 1);
  house.echo.release();
  REQUIRE(run.value()->wait(monotonic_now() + 60 * kSecond));
  const Snapshot got = run.value()->snapshot();
  CHECK(got.groups[0].measured_ok == 100);
  // Due within 0.1 s and free after 0.2 s: none was quicker than 0.1 s.
  uint64_t quick = 0;
  for (size_t i = 0; i < got.groups[0].latency.size(); ++i) {
    if (HistogramScale::value_of(i) < 95e6) quick += got.groups[0].latency[i];
  }
  CHECK(quick == 0);
}

TEST_CASE("load_run measures only requests that are due after the warm-up") {
  House house;
  LoadOptions options = house.options();
  options.per_second = 1000;
  options.arrivals = Arrivals::kConstant;
  options.in_flight = 1000;
  options.max_requests = 200;
  options.warm_up = 50 * kMillisecond;
  const Snapshot got = finish(options);
  CHECK(got.groups[0].statuses[0] == 200);
  CHECK(got.groups[0].measured == 150);
  CHECK(total(got.groups[0].latency) == 150);
  CHECK(total(got.delay) == 150);
}

TEST_CASE("load_run ends calls at their deadline and counts them") {
  House house;
  LoadOptions options = house.options("/test/hold");
  options.in_flight = 5;
  options.max_requests = 12;
  options.deadline = 20 * kMillisecond;
  const Snapshot got = finish(options);
  CHECK(got.groups[0].statuses[4] == 12);
  CHECK(total(got.groups[0].latency) == 0);
  CHECK(got.unanswered == 0);
  CHECK(!got.examples[4].empty());
}

TEST_CASE("load_run gives up on answers after the drain, and at once when it is dropped") {
  House house;
  LoadOptions options = house.options("/test/hold");
  options.in_flight = 3;
  options.max_requests = 3;
  options.drain = 50 * kMillisecond;
  const Snapshot got = finish(options);
  CHECK(got.unanswered == 3);
  CHECK(got.unsent == 0);
  options.max_requests = 10;
  options.per_second = 1e6;
  CHECK(finish(options).unsent == 7);
  options.per_second = 0;
  CHECK(finish(options).unanswered == 3);
  options.drain = kNever / 4;
  REQUIRE(LoadRun::start(options).ok());
}

TEST_CASE("load_run counts the calls of a connection that is lost") {
  House house;
  LoadOptions options = house.options("/test/hold");
  options.in_flight = 7;
  options.duration = 60 * kSecond;
  options.connect_timeout = 300 * kMillisecond;
  auto run = LoadRun::start(options);
  REQUIRE(run.ok());
  while (house.echo.opened < 7) std::this_thread::yield();
  house.server.reset();
  REQUIRE(run.value()->wait(monotonic_now() + 60 * kSecond));
  const Snapshot got = run.value()->snapshot();
  CHECK(got.groups[0].statuses[14] == 7);
  CHECK(got.lost >= 1);
  CHECK(got.failure.find("every connection was lost") != std::string::npos);
}

TEST_CASE("load_run says what it could not reach") {
  LoadOptions options;
  options.payloads = {make_payload("", 0)};
  options.max_requests = 1;
  options.unix_path = "/nonexistent/fastserve.sock";
  const auto refused = LoadRun::start(options);
  REQUIRE(!refused.ok());
  CHECK(refused.status().code() == Code::kUnavailable);
  CHECK(refused.status().message().find("/nonexistent/fastserve.sock: No such file") !=
        std::string::npos);
}

TEST_CASE("load_run refuses options that make no load") {
  LoadOptions options;
  options.unix_path = "/nonexistent";
  options.max_requests = 1;
  CHECK(LoadRun::start(options).status().code() == Code::kInvalidArgument);  // no payload
  options.payloads = {make_payload("", 0)};
  options.threads = 2;
  CHECK(LoadRun::start(options).status().code() == Code::kInvalidArgument);  // one connection
  options.threads = 1;
  options.tls = server_tls();
  CHECK(LoadRun::start(options).status().code() == Code::kInvalidArgument);  // not a client's
  options.tls = nullptr;
  options.max_requests = 0;
  CHECK(LoadRun::start(options).status().code() == Code::kInvalidArgument);  // no end
}

TEST_CASE("load_run makes the statuses that gRPC's clients make of answers that are none") {
  CHECK(reply_status({.http_status = 200, .grpc_status = 5}) == Code::kNotFound);
  CHECK(reply_status({.http_status = 200}) == Code::kUnknown);
  CHECK(reply_status({.http_status = 404}) == Code::kUnimplemented);
  CHECK(reply_status({.http_status = 503}) == Code::kUnavailable);
  CHECK(reply_status({.http_status = 200, .grpc_status = 0, .error_code = 8}) == Code::kCancelled);
  CHECK(reply_status({.error_code = 2}) == Code::kInternal);
}

TEST_CASE("load_run reads and stops from other threads" * doctest::test_suite("storm")) {
  House house;
  LoadOptions options = house.options();
  options.threads = 2;
  options.connections = 4;
  options.in_flight = 8;
  options.duration = 60 * kSecond;
  auto run = LoadRun::start(options);
  REQUIRE(run.ok());
  Snapshot seen;
  for (int i = 0; i < 20 || seen.sent < 500; ++i) {
    seen = run.value()->snapshot();
    std::this_thread::yield();
  }
  run.value()->stop();
  REQUIRE(run.value()->wait(monotonic_now() + 60 * kSecond));
  const Snapshot got = run.value()->snapshot();
  CHECK(got.groups[0].statuses[0] == got.sent);
}

}  // namespace
}  // namespace fastserve::bench
