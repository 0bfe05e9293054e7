// A front for tests of the transport. By path:
//   /test/echo  sends every message back, and finishes when the peer half-closed
//   /test/hold  answers nothing; release() finishes all such calls on their threads
//   /big/N   answers the half-close with N bytes
//   other    passes to the bridge
#pragma once

#include <poll.h>

#include <atomic>
#include <charconv>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fastserve/base/timer_wheel.h"
#include "fastserve/front/bridge.h"
#include "fastserve/front/bridge_port.h"
#include "fastserve/front/loop_front.h"

namespace fastserve::net::testing {

// Shared by the fronts of one server.
struct EchoHouse {
  front::Bridge bridge;
  std::atomic<int> opened{0};
  std::atomic<int> closed{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> fronts{0};
  std::atomic<bool> is_released{false};
  std::mutex mutex;
  std::vector<std::function<void()>> wakes;  // by thread
  std::vector<int> calls_by_thread;
  std::set<std::string> peers;

  void release() {
    is_released = true;
    std::lock_guard lock(mutex);
    for (const auto& wake : wakes) wake();
  }
  front::LoopFrontFactory factory();
};

class EchoFront final : public front::LoopFront {
 public:
  EchoFront(EchoHouse* house, int index, std::function<void()> wake)
      : house_(house),
        index_(index),
        wheel_(monotonic_now()),
        port_(&house->bridge, index, &wheel_, wake) {
    ++house_->fronts;
  }
  ~EchoFront() override { --house_->fronts; }

  void on_call(grpc::Call& call) override {
    ++house_->opened;
    {
      std::lock_guard lock(house_->mutex);
      ++house_->calls_by_thread[static_cast<size_t>(index_)];
      house_->peers.insert(std::string(call.peer()));
    }
    if (is_draining_) {
      call.finish({Code::kUnavailable, "draining"});
      return;
    }
    if (call.path() == "/test/hold") {
      held_.insert(&call);
      release_held();
    } else if (!is_own(call)) {
      port_.on_call(call);
    }
  }
  void on_message(grpc::Call& call, Buffer& message) override {
    if (front::BridgePort::owns(call)) {
      port_.on_message(call, message);
    } else if (call.path() == "/test/echo") {
      Buffer framed;
      framed.extend(grpc::kMessageHeadroom);
      framed.append(message.bytes());
      call.send_message(std::move(framed));
    }
  }
  void on_half_close(grpc::Call& call) override {
    if (front::BridgePort::owns(call)) {
      port_.on_half_close(call);
    } else if (call.path() == "/test/echo") {
      call.finish(ok_status());
    } else if (call.path().starts_with("/big/")) {
      const std::string_view digits = call.path().substr(5);
      size_t bytes = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
      Buffer framed;
      framed.extend(grpc::kMessageHeadroom + bytes);
      std::memset(framed.data(), 'b', framed.size());
      call.send_message(std::move(framed));
      call.finish(ok_status());
    }
  }
  void on_writable(grpc::Call& call) override {
    if (front::BridgePort::owns(call)) port_.on_writable(call);
  }
  void on_closed(grpc::Call& call, bool cancelled) override {
    ++house_->closed;
    if (cancelled) ++house_->cancelled;
    if (front::BridgePort::owns(call)) port_.on_closed(call, cancelled);
    held_.erase(&call);
  }
  void run_inbox(Nanos now) override {
    port_.run_inbox(now);
    release_held();
  }
  void end_sweep(Nanos now) override { wheel_.advance(now); }
  Nanos next_timer() const override { return wheel_.next(); }
  bool has_calls_elsewhere() const override { return false; }
  void start_drain() override { is_draining_ = true; }

 private:
  static bool is_own(const grpc::Call& call) {
    return call.path() == "/test/echo" || call.path().starts_with("/big/");
  }
  void release_held() {
    if (!house_->is_released) return;
    for (grpc::Call* call : std::exchange(held_, {})) call->finish(ok_status());
  }

  EchoHouse* const house_;
  const int index_;
  TimerWheel wheel_;
  front::BridgePort port_;
  std::set<grpc::Call*> held_;
  bool is_draining_ = false;
};

inline front::LoopFrontFactory EchoHouse::factory() {
  return [this](int index, std::function<void()> wake) {
    std::lock_guard lock(mutex);
    const auto place = static_cast<size_t>(index);
    if (wakes.size() <= place) wakes.resize(place + 1);
    if (calls_by_thread.size() <= place) calls_by_thread.resize(place + 1);
    wakes[place] = wake;
    return std::make_unique<EchoFront>(this, index, std::move(wake));
  };
}

// Answers every bridged call like /test/echo does, on its own thread, as a control plane would.
class EchoControl {
 public:
  explicit EchoControl(front::Bridge* bridge) : bridge_(bridge), thread_([this] { run(); }) {}
  ~EchoControl() {
    is_done_ = true;
    thread_.join();
  }

 private:
  using Kind = front::BridgeCommand::Kind;

  void run() {
    std::vector<front::BridgeEvent> events;
    while (!is_done_) {
      pollfd ready{bridge_->event_fd(), POLLIN, 0};
      poll(&ready, 1, 5);
      bridge_->take_events(&events);
      for (front::BridgeEvent& event : events) answer(event);
    }
  }
  void answer(front::BridgeEvent& event) {
    if (event.kind == front::BridgeEvent::Kind::kMessage) {
      front::BridgeCommand command;
      command.kind = Kind::kMessage;
      command.call = event.call;
      command.message.extend(grpc::kMessageHeadroom);
      command.message.append(event.message.bytes());
      bridge_->send(std::move(command));
      front::BridgeCommand credit;
      credit.kind = Kind::kCredit;
      credit.call = event.call;
      credit.credit_bytes = event.message.size();
      bridge_->send(std::move(credit));
    } else if (event.kind == front::BridgeEvent::Kind::kHalfClose) {
      front::BridgeCommand command;
      command.kind = Kind::kFinish;
      command.call = event.call;
      bridge_->send(std::move(command));
    }
  }

  front::Bridge* const bridge_;
  std::atomic<bool> is_done_{false};
  std::thread thread_;
};

}  // namespace fastserve::net::testing
