// One version of a model, ready to serve: its session, what it accepts, what it costs, its lanes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/base/status.h"
#include "fastserve/batch/cost_curve.h"
#include "fastserve/engine/exemplars.h"
#include "fastserve/engine/observation.h"
#include "fastserve/engine/queue_policy.h"
#include "fastserve/engine/reshape.h"
#include "fastserve/engine/stats.h"
#include "fastserve/runtime/session.h"

namespace fastserve::engine {

struct VersionConfig {
  std::string model;
  int64_t number = 1;
  // Rows of several requests may share a run. Only where it was shown to be safe.
  bool is_batching = false;
  // The first axis of every input and output is the rows axis.
  bool has_rows_axis = false;
  uint32_t max_rows = 64;  // rows of one run
  bool has_fixed_rows =
      false;  // a request of more than max_rows cannot run alone (fixed batch axis)
  Nanos max_delay = 0;
  uint32_t weight = 1;           // share of executor time under contention
  uint64_t max_queue_rows = 0;   // 0: the engine's default
  uint64_t max_queue_bytes = 0;  // 0: the engine's default
  // May run on the io thread when predicted to be short enough.
  bool allow_inline = true;
  uint32_t max_request_rows = 0;  // a request of more is refused; 0: no bound of its own
  // See QueueRules::make.
  uint32_t priority_levels = 0;
  uint32_t default_priority = 0;
  std::vector<QueuePolicy> queue_policies;
  std::vector<TensorReshape> reshapes;
};

// Waiting requests of one version: written under the scheduler's lock, read by any thread.
struct LevelLoad {
  std::atomic<uint64_t> requests{0};  // of this level, delayed ones too
  std::atomic<uint64_t> rows{0};      // at this rank
};

struct LaneSlot;
struct Workbench;
class Contract;
class Observer;
class Reaper;

// Counted: the snapshot that lists it holds one reference, each request in flight one, each control
// plane handle one. The last release hands it to the reaper, so a session is never destroyed on a
// serving thread.
// Thread: const members any; lanes under the scheduler's lock.
class Version {
 public:
  // `writers`: how many threads may serve it; each has its own counters and scratch.
  Version(VersionConfig config, QueueRules rules, std::unique_ptr<const Reshapes> reshapes,
          std::shared_ptr<runtime::Session> session, size_t writers, std::shared_ptr<Reaper> reaper,
          std::shared_ptr<Observer> observer);
  ~Version();
  Version(const Version&) = delete;
  Version& operator=(const Version&) = delete;

  // Tells `sink` of every batch from now on; requests are held against `contract`, unless it is
  // null, before they are queued. At most once, before the version is published.
  void watch(std::shared_ptr<ObservationSink> sink, std::shared_ptr<Contract> contract);

  const VersionConfig& config() const { return config_; }
  // The tensors as the graph is run with them, and as clients see them: in other shapes where the
  // version has reshapes.
  const runtime::Signature& signature() const { return *signature_; }
  const runtime::Signature& wire() const { return *wire_; }
  // Null when requests are held against none.
  Contract* contract() const { return contract_.get(); }
  // Null when it has none.
  const Reshapes* reshapes() const { return reshapes_.get(); }
  const QueueRules& queue_rules() const { return rules_; }
  // The most rows of one request.
  uint32_t max_request_rows() const { return max_request_rows_; }
  runtime::Session& session() const { return *session_; }
  std::string_view number_text() const { return number_text_; }
  const batch::CostCurve& cost() const { return cost_; }
  // Thread: any.
  void observe_cost(uint32_t rows, Nanos cost, Nanos now);
  // The curve was fed recently. A prediction that refuses work is only trusted then: otherwise one
  // slow run could keep a version from ever running, and so from ever being measured, again.
  bool has_fresh_cost(Nanos now) const;
  // Every axis but the first is fixed in every input as clients see it, so all requests may share
  // one lane.
  bool has_one_lane() const { return has_one_lane_; }

  // Index of an input or output by name, -1 when there is none. O(1) for many, linear for few.
  int input_index(std::string_view name) const;
  int output_index(std::string_view name) const;

  StatsShard& stats(size_t writer) { return *shards_[writer]; }
  // Scratch of one writer; only that writer's thread touches it.
  Workbench& workbench(size_t writer) { return *workbenches_[writer]; }
  StatsSnapshot stats_snapshot() const;
  Exemplars& exemplars() { return exemplars_; }
  // What its batches told before the call has arrived where they are observed when this returns,
  // also after the engine's end. Thread: control plane.
  void sweep() const;
  // When its last batch ended, monotonic; 0: it never ran one. Cheaper than a snapshot.
  Nanos last_inference() const;
  // Requests that wait or run.
  uint64_t in_flight() const {
    return queued_requests.load(std::memory_order_relaxed) +
           running_requests.load(std::memory_order_relaxed);
  }

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();
  int64_t references() const { return references_.load(std::memory_order_relaxed); }

  // What the scheduler keeps per version: written under its lock, read by any thread.
  std::atomic<uint64_t> queued_rows{0};
  std::atomic<uint64_t> queued_bytes{0};
  std::atomic<uint64_t> queued_requests{0};
  std::atomic<uint64_t> running_requests{0};
  // By level and by rank; empty for versions without queue rules.
  std::vector<LevelLoad> queued_by_level;
  // Rows that go before a request of `level` that arrived now.
  uint64_t queued_rows_before(uint32_t level) const;
  // Requests that may share a batch, by the sizes of their non-batch axes. Lanes that are empty are
  // reused for other sizes.
  std::vector<std::unique_ptr<LaneSlot>> lanes;

 private:
  const VersionConfig config_;
  const std::string number_text_;
  const QueueRules rules_;
  const std::unique_ptr<const Reshapes> reshapes_;
  const std::shared_ptr<runtime::Session> session_;
  const runtime::Signature* const signature_;
  const runtime::Signature* const wire_;
  const std::shared_ptr<Reaper> reaper_;
  const std::shared_ptr<Observer> observer_;
  // Set before the version is published, then constant.
  std::shared_ptr<ObservationSink> sink_;
  std::shared_ptr<Contract> contract_;
  uint32_t sink_number_ = 0;
  const bool has_one_lane_;
  const uint32_t max_request_rows_;
  std::mutex cost_mutex_;
  batch::CostCurve cost_;
  std::atomic<Nanos> cost_observed_at_{0};
  std::vector<std::unique_ptr<StatsShard>> shards_;
  Exemplars exemplars_;
  std::vector<std::unique_ptr<Workbench>> workbenches_;
  std::atomic<int64_t> references_{0};
};

// A counted reference.
class VersionHandle {
 public:
  VersionHandle() = default;
  explicit VersionHandle(Version* version) : version_(version) {
    if (version_ != nullptr) version_->retain();
  }
  VersionHandle(const VersionHandle& other) : VersionHandle(other.version_) {}
  VersionHandle(VersionHandle&& other) noexcept : version_(other.version_) {
    other.version_ = nullptr;
  }
  VersionHandle& operator=(VersionHandle other) noexcept {
    std::swap(version_, other.version_);
    return *this;
  }
  ~VersionHandle() {
    if (version_ != nullptr) version_->release();
  }
  Version* get() const { return version_; }
  Version* operator->() const { return version_; }
  Version& operator*() const { return *version_; }
  explicit operator bool() const { return version_ != nullptr; }

 private:
  Version* version_ = nullptr;
};

}  // namespace fastserve::engine
