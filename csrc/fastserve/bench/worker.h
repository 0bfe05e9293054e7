// One thread of a load: its connections, its share of the schedule, what it counted.
//
// The loop reads every socket that is ready, sends every request that is due, writes each touched
// connection once, and sleeps until the next request is due (a timerfd, exact to some
// microseconds). A request that is due while no call is free waits; its latency counts from when it
// was due.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/bench/connection.h"
#include "fastserve/bench/options.h"
#include "fastserve/bench/schedule.h"
#include "fastserve/bench/tally.h"
#include "fastserve/http2/client_session.h"

namespace fastserve::bench {

// The share of one worker.
struct Share {
  int index = 0;
  int connections = 0;
  uint64_t max_requests = UINT64_MAX;
};

// What the workers of a run share.
struct RunState {
  std::atomic<bool> is_stopping{false};
  std::atomic<bool> is_abandoned{false};  // answers under way are not awaited either
  std::atomic<int> connecting{0};         // workers whose connections are not all made
  std::atomic<Nanos> began{0};            // 0 until all are connected
  std::atomic<Nanos> measure_from{kNever};
  std::atomic<Nanos> last_reply{0};  // of a measured request
};

class Worker final : private http2::ReplySink {
 public:
  // All outlive the worker.
  Worker(const LoadOptions& options, const Target& target, Share share, RunState* state,
         Tally* tally);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Thread: one; returns when the load is over.
  void run();

 private:
  struct Sent {
    Nanos expiry;
    uint32_t connection;
    uint32_t generation;
    uint32_t stream;
  };

  void on_reply(const http2::Ticket& ticket, const http2::Reply& reply) override;
  void count(const http2::Ticket& ticket, int status, std::string_view message);

  bool connect_all();
  bool wait_for_others();
  void drive();
  bool is_open_loop() const { return options_.per_second > 0; }
  bool has_more() const;
  bool has_more_due() const;
  bool is_stalled() const;
  void send_due();
  void send_closed();
  void send_one(Connection* connection, Nanos due);
  Connection* free_connection();
  void expire();
  void flush_touched();
  Nanos next_wake() const;
  void wait(Nanos until);
  void on_event(Connection* connection, uint32_t events);
  void touch(Connection* connection);
  void watch(Connection* connection);
  void lose(Connection* connection, const std::string& why);
  void reconnect_due();
  void open(Connection* connection);
  void fail(std::string why);
  size_t open_calls() const;
  void note_cpu();

  const LoadOptions& options_;
  const Target& target_;
  const Share share_;
  RunState* const state_;
  Tally* const tally_;
  http2::ClientSession::Headers headers_;

  int epoll_ = -1;
  int timer_ = -1;
  std::deque<Connection> connections_;
  std::vector<Connection*> touched_;
  std::vector<Connection*> flushing_;
  size_t cursor_ = 0;
  bool is_full_ = false;  // no connection had room, and none was touched since
  size_t settled_ = 0;    // connections that took requests, before the load begins

  std::unique_ptr<Schedule> schedule_;
  uint64_t sent_count_ = 0;
  size_t payload_ = 0;
  std::deque<Sent> expiries_;
  Nanos now_ = 0;
  Nanos moved_ = 0;     // when a request was sent or ended, last
  Nanos end_ = kNever;  // requests due from here on are not sent
  Nanos all_lost_since_ = kNever;
  Nanos next_reconnect_ = kNever;
  bool is_failed_ = false;
  std::string last_loss_;
  Nanos armed_ = 0;
  Nanos cpu_noted_ = 0;
  ReadBuffers buffers_;
};

}  // namespace fastserve::bench
