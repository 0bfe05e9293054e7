// A load while it runs: its workers' threads, and what they have counted so far.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/bench/options.h"
#include "fastserve/bench/tally.h"
#include "fastserve/bench/worker.h"

namespace fastserve::bench {

struct GroupSnapshot {
  std::array<uint64_t, kStatuses> statuses{};
  uint64_t measured = 0;
  uint64_t measured_ok = 0;
  std::vector<uint64_t> latency;  // counts by HistogramScale
};

// Sums over the workers. While they run, counters are from slightly different moments.
struct Snapshot {
  std::vector<GroupSnapshot> groups;
  uint64_t sent = 0;
  uint64_t unanswered = 0;
  uint64_t unsent = 0;
  uint64_t connects = 0;
  uint64_t lost = 0;
  uint64_t received_bytes = 0;
  uint64_t busy_ns = 0;
  std::vector<uint64_t> delay;
  std::array<std::string, kStatuses> examples;
  std::string failure;
  Nanos began = 0;         // on the monotonic clock; 0 while connections are made
  Nanos measure_from = 0;  // kNever before that
  Nanos last_reply = 0;    // to a measured request
  Nanos now = 0;
  bool is_done = false;
};

// Thread: any, one call at a time.
class LoadRun {
 public:
  // Finds the target and starts the threads. Blocks up to the connect timeout.
  // Errors: kUnavailable and kInvalidArgument, which say what could not be reached;
  // kInvalidArgument for options that make no load.
  static Result<std::unique_ptr<LoadRun>> start(LoadOptions options);
  ~LoadRun();  // stopped and joined
  LoadRun(const LoadRun&) = delete;
  LoadRun& operator=(const LoadRun&) = delete;

  Snapshot snapshot() const;
  // Sends nothing more; the workers end once the answers under way have come.
  void stop() { state_.is_stopping.store(true); }
  // Until every worker is done, or `until` has passed. Returns whether they are.
  bool wait(Nanos until) const;

 private:
  LoadRun(LoadOptions options, const Target& target);

  const LoadOptions options_;
  const Target target_;
  RunState state_;
  std::vector<std::unique_ptr<Tally>> tallies_;
  std::vector<std::thread> threads_;
};

}  // namespace fastserve::bench
