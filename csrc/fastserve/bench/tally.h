// What one worker counted. The worker alone writes, with plain stores; anybody reads meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fastserve/bench/histogram.h"

namespace fastserve::bench {

class Counter {
 public:
  void add(uint64_t more) { value_.store(get() + more, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

inline constexpr size_t kStatuses = 17;  // of gRPC, 0 is OK

// Counts of everything sent are whole-run; the histograms hold what is measured: not the warm-up.
struct GroupTally {
  std::array<Counter, kStatuses> statuses;
  Counter measured;  // answers of any status to requests that were due after the warm-up
  Counter measured_ok;
  Histogram latency;  // of OK answers, from when the request was due
};

struct Tally {
  explicit Tally(uint32_t group_count) {
    for (uint32_t i = 0; i < group_count; ++i) groups.push_back(std::make_unique<GroupTally>());
  }

  std::vector<std::unique_ptr<GroupTally>> groups;
  Counter sent;
  Counter unanswered;      // given up at the end of the drain
  Counter unsent;          // due, and no call was free until the end of the drain
  Counter connects;        // connections that were made, the first ones too
  Counter lost;            // connections that broke
  Counter received_bytes;  // of message bodies
  Counter busy_ns;         // CPU time of the thread
  Histogram delay;         // from due to sent: waits for a free call, and the generator's own
  std::atomic<bool> is_done{false};

  std::mutex mutex;                             // of what follows
  std::array<std::string, kStatuses> examples;  // the first message of each status
  std::string failure;                          // why the worker gave up; empty while it has not
};

}  // namespace fastserve::bench
