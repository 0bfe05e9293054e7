#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include "fastserve/net/server.h"
#include "tests/echo_front.h"
#include "tests/socket_client.h"

namespace fastserve::net {
namespace {

using testing::Answer;
using testing::EchoControl;
using testing::EchoHouse;
using testing::frame_message;
using testing::SocketClient;

struct Fixture {
  explicit Fixture(ServerOptions options = {}) : server(options, house.factory()) {
    const auto bound = server.listen_tcp("127.0.0.1", 0, nullptr, &os_error);
    REQUIRE(bound.ok());
    port = bound.value().port;
    REQUIRE(server.start().ok());
  }
  int connect() const { return testing::connect_tcp(port); }

  EchoHouse house;
  Server server;
  int os_error = 0;
  uint16_t port = 0;
};

// Waits for what another thread will make true.
bool eventually(const std::function<bool()>& is_true, int seconds = 20) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!is_true()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

ServerOptions one_thread() {
  ServerOptions options;
  options.io_threads = 1;
  return options;
}

TEST_CASE("net_server answers a unary call") {
  Fixture f;
  SocketClient client(f.connect());
  const Answer& answer = client.unary("/test/echo", "hello");
  CHECK(answer.status() == "0");
  CHECK(answer.messages() == std::vector<std::string>{"hello"});
  CHECK(answer.error_code == 0);
}

TEST_CASE("net_server answers many calls in flight on one connection") {
  Fixture f;
  SocketClient client(f.connect());
  std::vector<int32_t> ids;
  for (int i = 0; i < 200; ++i)
    ids.push_back(client.call("/test/echo", frame_message(std::to_string(i))));
  for (int i = 0; i < 200; ++i) {
    REQUIRE(client.pump_until_closed(ids[static_cast<size_t>(i)]));
    CHECK(client.answer(ids[static_cast<size_t>(i)]).messages() ==
          std::vector<std::string>{std::to_string(i)});
  }
}

TEST_CASE("net_server echoes messages larger than every buffer, both ways at once") {
  Fixture f(one_thread());
  SocketClient client(f.connect());
  std::string large(5 << 20, '\0');
  std::mt19937 random(1);
  for (char& c : large) c = static_cast<char>(random());
  const Answer& answer = client.unary("/test/echo", large);
  CHECK(answer.status() == "0");
  REQUIRE(answer.messages().size() == 1);
  CHECK(answer.messages()[0] == large);
}

TEST_CASE("net_server spreads four connections evenly over two threads") {
  Fixture f;
  std::vector<std::unique_ptr<SocketClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<SocketClient>(f.connect()));
    CHECK(clients.back()->unary("/test/echo", "x").status() == "0");
  }
  std::lock_guard lock(f.house.mutex);
  CHECK(f.house.calls_by_thread == std::vector<int>{2, 2});
  CHECK(f.server.open_connections() == 4);
}

TEST_CASE("net_server tells the front who calls") {
  Fixture f;
  SocketClient client(f.connect());
  client.unary("/test/echo", "x");
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  getsockname(client.descriptor(), reinterpret_cast<sockaddr*>(&address), &length);
  std::lock_guard lock(f.house.mutex);
  CHECK(f.house.peers == std::set<std::string>{format_peer(address)});
}

TEST_CASE("net_server carries bridged calls to a control thread and back") {
  Fixture f;
  EchoControl control(&f.house.bridge);
  SocketClient client(f.connect());
  SUBCASE("unary") {
    const Answer& answer = client.unary("/pkg.Service/Method", "over the bridge");
    CHECK(answer.status() == "0");
    CHECK(answer.messages() == std::vector<std::string>{"over the bridge"});
  }
  SUBCASE("a stream longer than its window, credited as the control thread takes it") {
    const std::string message(100'000, 'm');
    std::string body;
    for (int i = 0; i < 60; ++i) body += frame_message(message);
    const int32_t id = client.call("/pkg.Service/Stream", body);
    REQUIRE(client.pump_until_closed(id));
    CHECK(client.answer(id).status() == "0");
    CHECK(client.answer(id).messages().size() == 60);
  }
}

TEST_CASE("net_server answers DEADLINE_EXCEEDED on time for a bridged call that nobody takes") {
  Fixture f;
  SocketClient client(f.connect());
  const auto began = std::chrono::steady_clock::now();
  const Answer& answer = client.unary("/pkg.Service/Method", "x", "50m");
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(answer.status() == "4");
  CHECK(took >= std::chrono::milliseconds(50));
  CHECK(took < std::chrono::seconds(5));
}

TEST_CASE("net_server cancels the calls of a connection that goes away") {
  Fixture f;
  {
    SocketClient client(f.connect());
    client.call("/test/hold", frame_message("x"));
    client.call("/test/hold", frame_message("x"));
    REQUIRE(client.write());
    REQUIRE(eventually([&] { return f.house.opened == 2; }));
    CHECK(eventually([&] { return f.server.open_calls() == 2; }));
  }
  CHECK(eventually([&] { return f.house.cancelled == 2; }));
  CHECK(eventually([&] { return f.server.open_connections() == 0; }));
  CHECK(f.server.open_calls() == 0);
}

TEST_CASE("net_server drains: calls in flight finish, then each connection closes") {
  ServerOptions options = one_thread();
  options.timeouts.drain_step = 5 * kMillisecond;
  Fixture f(options);
  SocketClient busy(f.connect());
  SocketClient idle(f.connect());
  CHECK(idle.unary("/test/echo", "x").status() == "0");
  const int32_t held = busy.call("/test/hold", frame_message("x"));
  busy.write();
  REQUIRE(eventually([&] { return f.house.opened == 2; }));
  f.server.start_drain();
  CHECK(testing::connect_tcp(f.port) < 0);
  CHECK(idle.pump_until_end());
  // Its library leaves at the first, having no call open.
  REQUIRE_FALSE(idle.goaways().empty());
  CHECK(idle.goaways()[0] == INT32_MAX);
  REQUIRE(busy.pump([&] { return busy.goaways().size() == 2; }));
  CHECK(busy.goaways()[0] == INT32_MAX);
  CHECK(busy.goaways()[1] == held);
  CHECK_FALSE(busy.answer(held).is_closed);
  f.house.release();
  CHECK(busy.pump_until_end());
  CHECK(busy.answer(held).status() == "0");
  CHECK(busy.answer(held).error_code == 0);
  CHECK(eventually([&] { return f.server.open_connections() == 0; }));
  f.server.close();
  CHECK(f.house.fronts == 0);
}

TEST_CASE("net_server serves a call that crosses the first GOAWAY of a drain") {
  ServerOptions options = one_thread();
  options.timeouts.drain_step = 20 * kSecond;
  Fixture f(options);
  SocketClient client(f.connect());
  CHECK(client.unary("/test/echo", "x").status() == "0");
  f.server.start_drain();
  const int32_t id = client.call("/test/echo", frame_message("y"));
  client.write();  // the GOAWAY was not read yet
  REQUIRE(client.pump_until_closed(id));
  // The front refuses it with a status; the transport does not lose it.
  CHECK((client.answer(id).status() == "14" || client.answer(id).status() == "0"));
}

TEST_CASE("net_server close cancels what is open and may be called again") {
  Fixture f;
  SocketClient client(f.connect());
  client.call("/test/hold", frame_message("x"));
  client.write();
  REQUIRE(eventually([&] { return f.house.opened == 1; }));
  f.server.close();
  f.server.close();
  CHECK(f.house.cancelled == 1);
  CHECK(f.house.fronts == 0);
  CHECK(f.server.open_connections() == 0);
  CHECK(client.pump_until_end());
}

TEST_CASE("net_server closes a connection whose preface does not come in time") {
  ServerOptions options = one_thread();
  options.timeouts.opening = 20 * kMillisecond;
  Fixture f(options);
  const int silent = f.connect();
  const int slow = f.connect();
  CHECK(send(slow, "PRI * HTTP", 10, MSG_NOSIGNAL) == 10);
  for (const int descriptor : {silent, slow}) {
    // Our SETTINGS, then the end.
    std::array<char, 4096> bytes;
    ssize_t n = 1;
    while (n > 0) n = recv(descriptor, bytes.data(), bytes.size(), 0);
    CHECK(n <= 0);
    close(descriptor);
  }
  CHECK(eventually([&] { return f.server.open_connections() == 0; }));
}

TEST_CASE("net_server keeps a connection that is idle after its preface") {
  ServerOptions options = one_thread();
  options.timeouts.opening = 20 * kMillisecond;
  Fixture f(options);
  SocketClient idle(f.connect());
  CHECK(idle.unary("/test/echo", "x").status() == "0");
  const int silent = f.connect();  // its end shows that the time went by
  std::array<char, 4096> bytes;
  while (recv(silent, bytes.data(), bytes.size(), 0) > 0) continue;
  close(silent);
  CHECK(idle.unary("/test/echo", "y").status() == "0");
}

TEST_CASE("net_server disconnects a peer that does not read its answers") {
  ServerOptions options = one_thread();
  options.timeouts.write_stall = 50 * kMillisecond;
  Fixture f(options);
  SocketClient client(f.connect(), nullptr, INT32_MAX);
  client.call("/big/60000000", frame_message("x"));
  client.write();
  CHECK(eventually([&] { return f.house.cancelled == 1; }));
  CHECK(eventually([&] { return f.server.open_connections() == 0; }));
}

TEST_CASE("net_server gives a reader that is slower than the server all of its answer") {
  Fixture f(one_thread());
  SocketClient client(f.connect(), nullptr, INT32_MAX);
  const int32_t id = client.call("/big/40000000", frame_message("x"));
  client.write();
  // Nothing is read until the socket's buffers are full and the call is still not done.
  REQUIRE(eventually([&] { return f.house.opened == 1; }));
  CHECK(f.house.closed == 0);
  REQUIRE(client.pump_until_closed(id));
  CHECK(client.answer(id).status() == "0");
  CHECK(client.answer(id).body.size() == 40'000'005);
}

TEST_CASE("net_server stops reading a peer that sends on and on and reads nothing") {
  Fixture f(one_thread());
  SocketClient client(f.connect(), nullptr, INT32_MAX);
  client.call("/big/60000000", frame_message("x"));
  REQUIRE(client.write());
  REQUIRE(eventually([&] { return f.house.opened == 1; }));
  // PINGs that nobody reads the answers of. The socket fills up instead of our memory.
  fcntl(client.descriptor(), F_SETFL, O_NONBLOCK);
  std::string ping("\0\0\x08\x06\0\0\0\0\0pingpong", 17);
  std::string priority("\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\x10", 14);
  size_t sent = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  bool is_cut = false;
  while (std::chrono::steady_clock::now() < until && !is_cut) {
    const ssize_t n = send(client.descriptor(), ping.data(), ping.size(), MSG_NOSIGNAL);
    if (n > 0) sent += static_cast<size_t>(n);
    is_cut = n < 0 && errno != EAGAIN;
  }
  CHECK((is_cut || sent < (32u << 20)));
}

TEST_CASE("net_server resets a call whose message stops half way") {
  ServerOptions options = one_thread();
  options.timeouts.call_stall = 20 * kMillisecond;
  Fixture f(options);
  SocketClient client(f.connect());
  const std::string half = frame_message(std::string(1000, 'x')).substr(0, 500);
  const int32_t stalled = client.call("/test/echo", half, false);
  const int32_t quiet = client.call("/test/echo", frame_message("whole"), false);
  REQUIRE(client.pump_until_closed(stalled));
  CHECK(client.answer(stalled).error_code == NGHTTP2_CANCEL);
  CHECK(f.house.cancelled == 1);
  client.send(quiet, frame_message("more"), true);
  REQUIRE(client.pump_until_closed(quiet));
  CHECK(client.answer(quiet).messages() == std::vector<std::string>{"whole", "more"});
}

TEST_CASE("net_server resets a call whose peer gives no window for the answer") {
  ServerOptions options = one_thread();
  options.timeouts.call_stall = 20 * kMillisecond;
  Fixture f(options);
  SocketClient client(f.connect(), nullptr, 0);
  const int32_t id = client.call("/big/1000", frame_message("x"));
  REQUIRE(client.pump_until_closed(id));
  CHECK(client.answer(id).error_code == NGHTTP2_CANCEL);
  CHECK(eventually([&] { return f.server.open_calls() == 0; }));
}

TEST_CASE("net_server gives a grown read buffer back and reads on") {
  ServerOptions options = one_thread();
  options.timeouts.read_idle = 5 * kMillisecond;
  Fixture f(options);
  SocketClient client(f.connect());
  for (int i = 0; i < 3; ++i) {
    CHECK(client.unary("/test/echo", std::string(1 << 20, 'x')).status() == "0");
    // A timed call outlasts the idle time; after it the buffer is small again.
    CHECK(client.unary("/pkg.Service/Method", "x", "30m").status() == "4");
  }
}

TEST_CASE("net_server waits with new connections when it is full and takes them when it is not") {
  ServerOptions options = one_thread();
  options.max_connections = 2;
  Fixture f(options);
  auto first = std::make_unique<SocketClient>(f.connect());
  SocketClient second(f.connect());
  CHECK(first->unary("/test/echo", "x").status() == "0");
  CHECK(second.unary("/test/echo", "x").status() == "0");
  SocketClient third(f.connect());  // in the backlog
  const int32_t id = third.call("/test/echo", frame_message("x"));
  third.write();
  pollfd ready{third.descriptor(), POLLIN, 0};
  CHECK(poll(&ready, 1, 100) == 0);
  first.reset();
  CHECK(third.pump_until_closed(id));
  CHECK(third.answer(id).status() == "0");
}

TEST_CASE("net_server sheds connections without spinning when descriptors run out, then recovers") {
  // In a child: the limit is the process's.
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int failed = 0;
    {
      EchoHouse house;
      Server server(one_thread(), house.factory());
      int os_error = 0;
      const auto bound = server.listen_tcp("127.0.0.1", 0, nullptr, &os_error);
      if (!bound.ok() || !server.start().ok()) _exit(2);
      // The clients' ends first, as many as the limit leaves no room to accept.
      const int probe = open("/dev/null", O_RDONLY);
      close(probe);
      const rlimit limit{static_cast<rlim_t>(probe) + 40, static_cast<rlim_t>(probe) + 40};
      setrlimit(RLIMIT_NOFILE, &limit);
      std::vector<int> clients;
      for (int i = 0; i < 35; ++i) {
        const int client = testing::connect_tcp(bound.value().port);
        if (client >= 0) clients.push_back(client);
      }
      rusage before{};
      rusage after{};
      getrusage(RUSAGE_SELF, &before);
      timespec pause{0, 300'000'000};  // the time in which a loop that spins would show
      nanosleep(&pause, nullptr);
      getrusage(RUSAGE_SELF, &after);
      const auto cpu_us = [](const rusage& usage) {
        return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
               usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
      };
      if (cpu_us(after) - cpu_us(before) > 100'000) failed |= 4;
      for (const int client : clients) close(client);
      if (!eventually([&] { return server.open_connections() == 0; })) failed |= 8;
      SocketClient client(testing::connect_tcp(bound.value().port));
      if (client.unary("/test/echo", "x").status() != "0") failed |= 16;
      server.close();
    }
    _exit(failed);
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("net_server listens on a Unix socket, replaces a stale file, and removes its own") {
  std::array<char, 32> folder{"/tmp/fastserve_netXXXXXX"};
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  const std::string path = std::string(folder.data()) + "/socket";
  int os_error = 0;
  // A file left behind by a process that died.
  {
    const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    close(dead);
  }
  {
    EchoHouse house;
    Server server(one_thread(), house.factory());
    REQUIRE(server.listen_unix(path, &os_error).ok());
    REQUIRE(server.start().ok());
    SocketClient client(testing::connect_unix(path));
    CHECK(client.unary("/test/echo", "over a file").messages() ==
          std::vector<std::string>{"over a file"});
    {
      std::lock_guard lock(house.mutex);
      CHECK(house.peers == std::set<std::string>{"unix:"});
    }
    // Somebody listens: the file stays his.
    EchoHouse other_house;
    Server other(one_thread(), other_house.factory());
    const Status refused = other.listen_unix(path, &os_error);
    CHECK(refused.code() == Code::kUnavailable);
    CHECK(os_error == EADDRINUSE);
    CHECK(refused.message().find(path) != std::string::npos);
  }
  struct stat status;
  CHECK(lstat(path.c_str(), &status) != 0);
  // A file that is no socket is not touched.
  const int file = open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  close(file);
  EchoHouse house;
  Server server(one_thread(), house.factory());
  CHECK_FALSE(server.listen_unix(path, &os_error).ok());
  CHECK(lstat(path.c_str(), &status) == 0);
  CHECK_FALSE(server.listen_unix(std::string(200, 'x'), &os_error).ok());
  unlink(path.c_str());
  rmdir(folder.data());
}

TEST_CASE("net_server says which address it cannot have, and why") {
  Fixture f;
  EchoHouse house;
  Server other(one_thread(), house.factory());
  int os_error = 0;
  const auto taken = other.listen_tcp("127.0.0.1", f.port, nullptr, &os_error);
  REQUIRE_FALSE(taken.ok());
  CHECK(os_error == EADDRINUSE);
  CHECK(taken.status().message().find("127.0.0.1:" + std::to_string(f.port)) != std::string::npos);
  const auto unknown = other.listen_tcp("no such host", 0, nullptr, &os_error);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.status().code() == Code::kInvalidArgument);
}

TEST_CASE("net_server may be closed without having been started") {
  EchoHouse house;
  Server server(one_thread(), house.factory());
  int os_error = 0;
  REQUIRE(server.listen_tcp("127.0.0.1", 0, nullptr, &os_error).ok());
  server.close();
  CHECK_FALSE(server.start().ok());
}

TEST_CASE("net_server reports an io thread that gets no front and closes the others") {
  EchoHouse house;
  ServerOptions options;
  options.io_threads = 3;
  Server server(options, [&](int index, std::function<void()> wake) {
    return index == 2 ? nullptr : house.factory()(index, std::move(wake));
  });
  CHECK(server.start().code() == Code::kResourceExhausted);
  CHECK(house.fronts == 0);
}

TEST_SUITE("storm") {
  TEST_CASE("net_server survives clients that open, send, reset and vanish, and then drains") {
    ServerOptions options;
    options.timeouts.drain_step = 2 * kMillisecond;
    Fixture f(options);
    EchoControl control(&f.house.bridge);
    constexpr int kThreads = 4;
    constexpr int kRounds = 25;
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937 random(static_cast<uint32_t>(thread) + 1);
        for (int round = 0; round < kRounds; ++round) {
          SocketClient client(f.connect());
          std::vector<int32_t> whole;
          for (int i = 0; i < 20; ++i) {
            const std::string path = random() % 2 ? "/test/echo" : "/test/bridged";
            const std::string body = frame_message(std::string(random() % 20'000, 'x'));
            switch (random() % 4) {
              case 0:
                client.call(path, body.substr(0, random() % body.size()), false);
                break;
              case 1: {
                const int32_t id = client.call(path, body);
                client.write();
                client.reset(id);
                break;
              }
              default:
                whole.push_back(client.call(path, body, true, random() % 8 ? "" : "1m"));
            }
            if (random() % 4 == 0) client.write();
          }
          if (random() % 3 == 0) continue;  // vanishes with everything in flight
          for (const int32_t id : whole) {
            client.pump_until_closed(id);
            const std::string status = client.answer(id).status();
            if (status != "0" && status != "4") ++wrong;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(eventually([&] { return f.server.open_connections() == 0; }));
    CHECK(f.server.open_calls() == 0);
    CHECK(f.house.opened == f.house.closed);
    // Calls in flight while the server drains and closes.
    std::vector<std::unique_ptr<SocketClient>> last;
    for (int i = 0; i < 8; ++i) {
      last.push_back(std::make_unique<SocketClient>(f.connect()));
      last.back()->call(i % 2 ? "/test/hold" : "/test/bridged", frame_message("x"), i % 2 == 1);
      last.back()->write();
    }
    REQUIRE(eventually([&] { return f.server.open_calls() == 8; }));
    f.server.start_drain();
    f.house.release();
    f.server.close();
    CHECK(f.house.opened == f.house.closed);
    CHECK(f.house.fronts == 0);
  }
}

}  // namespace
}  // namespace fastserve::net
