// Counters of one model version. Each thread that serves writes a shard of its own with plain
// stores (no locked instruction on the request path); readers add the shards up.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "fastserve/base/clock.h"

namespace fastserve::engine {

// Phases of a request's life, in order. kTotal runs from the whole message received to the reply
// handed to the connection.
enum class Phase : uint8_t { kQueue, kGather, kCompute, kReply, kTotal };
inline constexpr size_t kPhaseCount = 5;

// Why a request got no answer from the model; a metric label.
enum class Failure : uint8_t {
  kInvalid,     // refused by validation
  kQueueFull,   // rows or bytes bound reached
  kOverloaded,  // predicted to miss its deadline
  kExpired,     // deadline passed in the queue or while it ran
  kCancelled,   // by the client or a lost connection
  kExecution,   // the model's run failed
  kDraining,    // the version or the server is going away
};
inline constexpr size_t kFailureCount = 7;

// Upper bounds of the histogram buckets, in nanoseconds: 25 us to 10 s, about 1.6x apart where
// small models live. The last bucket is +Inf.
inline constexpr std::array<Nanos, 20> kBucketBounds = {
    25'000,     50'000,      100'000,     150'000,       250'000,       400'000,       650'000,
    1'000'000,  1'600'000,   2'500'000,   4'000'000,     6'500'000,     10'000'000,    25'000'000,
    50'000'000, 100'000'000, 250'000'000, 1'000'000'000, 2'500'000'000, 10'000'000'000};
inline constexpr size_t kBucketCount = kBucketBounds.size() + 1;
// The bucket that counts `duration`.
size_t bucket_of(Nanos duration);

// A number with one writer and any number of readers.
class SingleWriterCounter {
 public:
  void add(uint64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct Histogram {
  std::array<SingleWriterCounter, kBucketCount> buckets;
  SingleWriterCounter sum_ns;

  void observe(Nanos duration, uint64_t times = 1);
};

struct BatchStats {
  uint64_t executions = 0;
  uint64_t compute_input_ns = 0;
  uint64_t compute_infer_ns = 0;
  uint64_t compute_output_ns = 0;
};

// Written by one thread.
struct StatsShard {
  SingleWriterCounter requests;  // answered by the model
  SingleWriterCounter rows;
  SingleWriterCounter executions;
  std::array<SingleWriterCounter, kFailureCount> failures;
  SingleWriterCounter failure_ns;               // time that failed requests spent here
  std::array<SingleWriterCounter, 5> releases;  // batches by batch::Reason
  std::array<Histogram, kPhaseCount> phases;
  std::atomic<Nanos> last_inference{0};  // monotonic
  // By rows of the batch; touched once per batch, so a lock costs nothing.
  std::mutex batches_mutex;
  std::map<uint32_t, BatchStats> batches;
};

// A sum of shards at one moment (each number is exact, they may be a request apart).
struct StatsSnapshot {
  uint64_t requests = 0;
  uint64_t rows = 0;
  uint64_t executions = 0;
  std::array<uint64_t, kFailureCount> failures{};
  uint64_t failure_ns = 0;
  std::array<uint64_t, 5> releases{};
  std::array<std::array<uint64_t, kBucketCount>, kPhaseCount> buckets{};
  std::array<uint64_t, kPhaseCount> sum_ns{};
  std::map<uint32_t, BatchStats> batches;
  Nanos last_inference = 0;
  uint64_t queue_requests = 0;  // waiting now
  uint64_t queue_rows = 0;
  uint64_t in_flight = 0;  // borrowed by requests now, waiting or running

  void add(StatsShard& shard);
};

}  // namespace fastserve::engine
