// One io thread: an event loop, the connections that were given to it, and the front that serves
// their calls. Connections never move to another thread.
//
// The loop works in sweeps: it waits for the first event, reads every connection that is ready,
// carries out what other threads left for the front, lets the front plan over all of it at once
// (end_sweep), and then writes each touched connection once.
//
// Waiting is bounded by the timers of the front and of the loop itself; both are kept in wheels, so
// no timer costs a system call. A wake-up from another thread costs one only when the loop sleeps:
// `signal_` says whether it does.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fastserve/base/buffer.h"
#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/base/timer_wheel.h"
#include "fastserve/front/loop_front.h"
#include "fastserve/net/connection.h"
#include "fastserve/net/handler_memory.h"
#include "fastserve/net/options.h"
#include "fastserve/net/spinner.h"

namespace fastserve::net {

class IoThread {
 public:
  IoThread(const ServerOptions& options, int index);
  ~IoThread();  // stopped and joined
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // --- Thread: any ---
  // Starts the thread, which makes its front; returns when that is done. Once.
  Status start(const front::LoopFrontFactory& make_front);
  // Takes over a connected socket.
  void adopt(int socket, std::string peer, std::shared_ptr<const TlsContext> tls);
  // Runs `task` on the loop.
  void post(std::function<void()> task);
  // run_inbox() of the front soon after. Cheap when a wake-up is under way or the loop is awake.
  void wake();
  void start_drain();
  // Closes every connection and ends the loop; then the front dies on its thread.
  void stop();
  void join();
  size_t open_connections() const { return open_connections_.load(std::memory_order_relaxed); }
  size_t open_calls() const {
    return static_cast<size_t>(open_calls_.load(std::memory_order_relaxed));
  }

  // --- Thread: the loop's; for connections and listeners ---
  const ServerOptions& options() const { return options_; }
  front::LoopFront* front() { return front_.get(); }
  asio::io_context& context() { return context_; }
  TimerWheel& timers() { return timers_; }
  // When the sweep's present step began; read_clock() makes it the present.
  Nanos now() const { return now_; }
  Nanos read_clock() { return now_ = monotonic_now(); }
  void add_touched(Connection* connection) { touched_.push_back(connection); }
  void count_calls(int64_t more) { open_calls_.fetch_add(more, std::memory_order_relaxed); }
  // Scratch for the connection that is being flushed or fed; one after the other, so one is enough.
  Buffer& out() { return out_; }
  Buffer& plain_in() { return plain_in_; }
  Buffer& plain_out() { return plain_out_; }

 private:
  enum Signal : int { kAwake, kAsleep, kNotified };

  struct WakeHandler {
    using allocator_type = HandlerAllocator<std::byte>;
    allocator_type get_allocator() const noexcept { return allocator_type(memory); }
    void operator()() const {}
    HandlerMemory* memory;
  };

  void run();
  void wait();
  bool poll_before_sleep(Nanos idle_since);
  void read_ready();
  void sweep();
  void flush_touched();
  void open(int socket, std::string peer, std::shared_ptr<const TlsContext> tls);
  void remove(Connection* connection);
  void close_all();

  const ServerOptions options_;
  const int index_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
  std::unique_ptr<front::LoopFront> front_;

  std::atomic<int> signal_{kAwake};
  HandlerMemory wake_memory_;
  std::atomic<size_t> open_connections_{0};
  std::atomic<int64_t> open_calls_{0};

  Nanos now_ = 0;
  TimerWheel timers_;
  Spinner spinner_;
  Timer drain_timer_;
  bool is_draining_ = false;
  bool is_drained_ = false;  // the second GOAWAY was sent
  bool is_stopping_ = false;
  bool is_notified_ = false;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> touched_;
  std::vector<Connection*> flushing_;
  Buffer out_;
  Buffer plain_in_;
  Buffer plain_out_;
};

}  // namespace fastserve::net
