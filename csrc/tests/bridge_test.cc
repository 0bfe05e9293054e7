#include "fastserve/front/bridge.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fastserve/front/bridge_port.h"

namespace fastserve::front {
namespace {

using Kind = BridgeEvent::Kind;

// Stands for the connection: notes what the port asks of the call.
class RecordingCall : public grpc::Call {
 public:
  std::string_view path() const override { return "/pkg.Service/Method"; }
  std::string_view peer() const override { return "ipv4:127.0.0.1:1"; }
  Nanos deadline() const override { return deadline_; }
  std::string_view header(std::string_view) const override { return {}; }
  std::span<const grpc::Metadatum> metadata() override { return metadata_; }
  void send_initial_metadata(std::span<const grpc::Metadatum> metadata) override {
    log.push_back("initial " + std::to_string(metadata.size()));
  }
  void send_message(Buffer framed) override {
    queued += framed.size();
    log.push_back("message " + std::to_string(framed.size()));
  }
  void set_compression(bool on) override { log.push_back(on ? "compress" : "plain"); }
  void finish(const Status& status, std::span<const grpc::Metadatum> trailers) override {
    log.push_back("finish " + std::to_string(static_cast<int>(status.code())) + " " +
                  std::to_string(trailers.size()));
  }
  void hold_messages(bool on) override { log.push_back(on ? "hold" : "pass"); }
  void credit(size_t bytes) override { log.push_back("credit " + std::to_string(bytes)); }
  size_t queued_bytes() const override { return queued; }

  Nanos deadline_ = kNever;
  std::vector<grpc::Metadatum> metadata_{{"key", "value"},
                                         {"blob-bin", std::string_view("\0x", 2)}};
  std::vector<std::string> log;
  size_t queued = 0;
};

struct Fixture {
  Bridge bridge;
  TimerWheel wheel{0};
  int wakes = 0;
  BridgePort port{&bridge, 3, &wheel, [this] { ++wakes; }};
  std::vector<BridgeEvent> events;

  std::vector<BridgeEvent>& take() {
    bridge.take_events(&events);
    return events;
  }
  uint64_t start(RecordingCall& call) {
    port.on_call(call);
    take();
    REQUIRE(events.size() == 1);
    return events[0].call;
  }
  void send(BridgeCommand::Kind kind, uint64_t id, size_t bytes = 0) {
    BridgeCommand command;
    command.kind = kind;
    command.call = id;
    command.credit_bytes = bytes;
    if (kind == BridgeCommand::Kind::kMessage) {
      command.message.extend(grpc::kMessageHeadroom + bytes);
    }
    bridge.send(std::move(command));
  }
  bool is_readable() {
    pollfd poll_fd{bridge.event_fd(), POLLIN, 0};
    return poll(&poll_fd, 1, 0) == 1;
  }
};

TEST_CASE("bridge hands a call to the control plane with path, peer, deadline and metadata") {
  Fixture f;
  RecordingCall call;
  call.deadline_ = 77 * kSecond;
  CHECK_FALSE(f.is_readable());
  f.port.on_call(call);
  CHECK(BridgePort::owns(call));
  CHECK(f.is_readable());
  const auto& events = f.take();
  CHECK_FALSE(f.is_readable());
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kStart);
  CHECK(events[0].path == "/pkg.Service/Method");
  CHECK(events[0].peer == "ipv4:127.0.0.1:1");
  CHECK(events[0].deadline == 77 * kSecond);
  CHECK(events[0].metadata == OwnedMetadata{{"key", "value"}, {"blob-bin", std::string("\0x", 2)}});
  CHECK(BridgePort::index_of(events[0].call) == 3);
  CHECK(call.log == std::vector<std::string>{"hold"});
  f.port.on_closed(call, true);
  CHECK(f.take()[0].kind == Kind::kCancelled);
}

TEST_CASE("bridge carries messages in order and credits only what the control plane took") {
  Fixture f;
  RecordingCall call;
  const uint64_t id = f.start(call);
  for (int i = 0; i < 3; ++i) {
    Buffer message;
    message.append(as_bytes("message" + std::to_string(i)));
    f.port.on_message(call, message);
  }
  f.port.on_half_close(call);
  const auto& events = f.take();
  REQUIRE(events.size() == 4);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(events[i].kind == Kind::kMessage);
    CHECK(as_text(events[i].message.bytes()) == "message" + std::to_string(i));
  }
  CHECK(events[3].kind == Kind::kHalfClose);
  CHECK(call.log == std::vector<std::string>{"hold"});
  f.send(BridgeCommand::Kind::kCredit, id, 8);
  CHECK(f.wakes == 1);
  f.port.run_inbox(0);
  CHECK(call.log == std::vector<std::string>{"hold", "credit 8"});
  f.port.on_closed(call, true);
}

TEST_CASE("bridge carries out commands in order, wakes once, and is silent after finish") {
  Fixture f;
  RecordingCall call;
  const uint64_t id = f.start(call);
  f.send(BridgeCommand::Kind::kCompress, id);
  f.send(BridgeCommand::Kind::kInitialMetadata, id);
  f.send(BridgeCommand::Kind::kMessage, id, 10);
  f.send(BridgeCommand::Kind::kFinish, id);
  f.send(BridgeCommand::Kind::kMessage, id, 10);
  CHECK(f.wakes == 1);
  CHECK(call.log == std::vector<std::string>{"hold"});
  f.port.run_inbox(0);
  CHECK(call.log ==
        std::vector<std::string>{"hold", "compress", "initial 0", "message 15", "finish 0 0"});
  Buffer late;
  late.append(as_bytes("late"));
  f.port.on_message(call, late);
  CHECK(call.log.back() == "credit 4");
  f.port.on_closed(call, false);
  CHECK(f.take().empty());
  CHECK(f.port.open_calls() == 0);
}

TEST_CASE("bridge answers DEADLINE_EXCEEDED on time and tells the control plane once") {
  Fixture f;
  RecordingCall call;
  call.deadline_ = 50 * kMillisecond;
  const uint64_t id = f.start(call);
  CHECK(f.wheel.next() == 50 * kMillisecond);
  f.wheel.advance(50 * kMillisecond - 1);
  CHECK(f.take().empty());
  f.wheel.advance(50 * kMillisecond);
  CHECK(call.log.back() == "finish 4 0");
  REQUIRE(f.take().size() == 1);
  CHECK(f.events[0].kind == Kind::kCancelled);
  f.send(BridgeCommand::Kind::kFinish, id);
  f.port.run_inbox(0);
  CHECK(call.log.back() == "finish 4 0");
  f.port.on_closed(call, false);
  CHECK(f.take().empty());
  CHECK(f.wheel.size() == 0);
}

TEST_CASE("bridge never uses a call id again and drops commands for calls that are gone") {
  Fixture f;
  std::set<uint64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    RecordingCall call;
    ids.insert(f.start(call));
    f.port.on_closed(call, true);
    f.take();
  }
  CHECK(ids.size() == 1000);
  RecordingCall call;
  f.start(call);
  for (uint64_t id : ids) f.send(BridgeCommand::Kind::kFinish, id);
  f.send(BridgeCommand::Kind::kFinish, 0);
  f.send(BridgeCommand::Kind::kFinish, UINT64_MAX);
  f.port.run_inbox(0);
  CHECK(call.log == std::vector<std::string>{"hold"});
  f.port.on_closed(call, true);
}

TEST_CASE(
    "bridge gives a sender that filled its window a kWritable, at once or when the peer reads") {
  Fixture f;
  RecordingCall call;
  const uint64_t id = f.start(call);
  SUBCASE("the peer keeps up") {
    for (int i = 0; i < 5; ++i) {
      f.send(BridgeCommand::Kind::kMessage, id, kWritableWindowBytes / 4 + 1);
      f.port.run_inbox(0);
      call.queued = 0;
    }
    REQUIRE(f.take().size() == 1);
    CHECK(f.events[0].kind == Kind::kWritable);
  }
  SUBCASE("the peer does not read") {
    f.send(BridgeCommand::Kind::kMessage, id, kWritableWindowBytes + 1);
    f.port.run_inbox(0);
    CHECK(f.take().empty());
    f.port.on_writable(call);
    REQUIRE(f.take().size() == 1);
    CHECK(f.events[0].kind == Kind::kWritable);
    f.port.on_writable(call);
    CHECK(f.take().empty());
  }
  f.port.on_closed(call, true);
}

TEST_CASE("bridge refuses calls when the control plane takes none, and takes calls again after") {
  Fixture f;
  std::vector<RecordingCall> calls(static_cast<size_t>(kMaxWaitingCalls));
  for (auto& call : calls) f.port.on_call(call);
  RecordingCall refused;
  f.port.on_call(refused);
  CHECK(BridgePort::owns(refused));
  REQUIRE(refused.log.size() == 1);
  CHECK(refused.log[0] == "finish 8 0");
  f.port.on_half_close(refused);
  f.port.on_closed(refused, false);
  CHECK(f.take().size() == calls.size());
  RecordingCall taken;
  f.port.on_call(taken);
  CHECK(taken.log == std::vector<std::string>{"hold"});
  f.port.on_closed(taken, true);
  for (auto& call : calls) f.port.on_closed(call, true);
}

TEST_CASE("bridge drops commands after the port closed") {
  Bridge bridge;
  TimerWheel wheel{0};
  int wakes = 0;
  uint64_t id = 0;
  {
    BridgePort port(&bridge, 0, &wheel, [&] { ++wakes; });
    RecordingCall call;
    port.on_call(call);
    std::vector<BridgeEvent> events;
    bridge.take_events(&events);
    id = events[0].call;
    port.on_closed(call, true);
  }
  BridgeCommand command;
  command.kind = BridgeCommand::Kind::kFinish;
  command.call = id;
  bridge.send(std::move(command));
  CHECK(wakes == 0);
}

TEST_SUITE("storm") {
  TEST_CASE("bridge passes every event and every command once between threads") {
    constexpr int kCalls = 2000;
    constexpr int kPorts = 2;
    Bridge bridge;
    std::atomic<int> finished{0};
    std::atomic<int> starts{0};
    std::atomic<bool> is_done{false};
    std::thread control([&] {
      std::vector<BridgeEvent> events;
      while (!is_done.load()) {
        pollfd poll_fd{bridge.event_fd(), POLLIN, 0};
        poll(&poll_fd, 1, 10);
        bridge.take_events(&events);
        for (const BridgeEvent& event : events) {
          if (event.kind != Kind::kStart) continue;
          ++starts;
          BridgeCommand command;
          command.kind = BridgeCommand::Kind::kFinish;
          command.call = event.call;
          bridge.send(std::move(command));
        }
      }
    });
    std::vector<std::thread> io;
    for (int index = 0; index < kPorts; ++index) {
      io.emplace_back([&, index] {
        TimerWheel wheel{0};
        std::mutex mutex;
        std::condition_variable woken;
        bool is_woken = false;
        BridgePort port(&bridge, index, &wheel, [&] {
          std::lock_guard lock(mutex);
          is_woken = true;
          woken.notify_one();
        });
        std::vector<RecordingCall> calls(kCalls);
        size_t open = 0;
        const auto run_inbox = [&] {
          {
            std::unique_lock lock(mutex);
            woken.wait(lock, [&] { return is_woken; });
            is_woken = false;
          }
          port.run_inbox(0);
        };
        for (auto& call : calls) {
          port.on_call(call);
          if (++open % 64 == 0) run_inbox();
        }
        const auto all_finished = [&] {
          for (auto& call : calls) {
            if (call.log.back() != "finish 0 0") return false;
          }
          return true;
        };
        while (!all_finished()) run_inbox();
        for (auto& call : calls) {
          finished += call.log.size() == 2;
          port.on_closed(call, false);
        }
      });
    }
    for (auto& thread : io) thread.join();
    is_done = true;
    control.join();
    CHECK(starts == kCalls * kPorts);
    CHECK(finished == kCalls * kPorts);
  }
}

}  // namespace
}  // namespace fastserve::front
