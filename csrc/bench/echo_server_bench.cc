// What the transport costs without a model: answers every call with one fixed message of 90 bytes,
// so that h2load can set it beside nghttpd, which serves a file of 90 bytes from the same library.
//
//   echo_server_bench PORT [IO_THREADS]     stops at SIGINT or SIGTERM
//
//   taskset -c 0 echo_server_bench 9101 & taskset -c 0 nghttpd --no-tls -d FOLDER 9102 &
//   taskset -c 1 h2load -c 4 -m 64 -D 2 -d BODY -H 'content-type: application/grpc'
//       -H 'te: trailers' http://127.0.0.1:9101/test/echo    (BODY: one framed message)
//   taskset -c 1 h2load -c 4 -m 64 -D 2 http://127.0.0.1:9102/FILE_OF_90_BYTES
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "fastserve/net/server.h"

namespace {

using namespace fastserve;

constexpr size_t kAnswerBytes = 90;

class FixedFront final : public front::LoopFront {
 public:
  void on_call(grpc::Call&) override {}
  void on_message(grpc::Call&, Buffer&) override {}
  void on_half_close(grpc::Call& call) override {
    Buffer framed;
    std::memset(framed.extend(grpc::kMessageHeadroom + kAnswerBytes), 'x',
                grpc::kMessageHeadroom + kAnswerBytes);
    call.send_message(std::move(framed));
    call.finish(ok_status());
  }
  void on_writable(grpc::Call&) override {}
  void on_closed(grpc::Call&, bool) override {}
  void run_inbox(Nanos) override {}
  void end_sweep(Nanos) override {}
  Nanos next_timer() const override { return kNever; }
  bool has_calls_elsewhere() const override { return false; }
  void start_drain() override {}
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s PORT [IO_THREADS]\n", argv[0]);
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  net::ServerOptions options;
  options.io_threads = argc > 2 ? std::atoi(argv[2]) : 1;
  net::Server server(options,
                     [](int, std::function<void()>) { return std::make_unique<FixedFront>(); });
  int os_error = 0;
  const auto bound =
      server.listen_tcp("127.0.0.1", static_cast<uint16_t>(std::atoi(argv[1])), nullptr, &os_error);
  if (!bound.ok()) {
    std::fprintf(stderr, "%s\n", bound.status().message().c_str());
    return 1;
  }
  if (const Status status = server.start(); !status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  std::printf("ready %u\n", bound.value().port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server.close();
  return 0;
}
