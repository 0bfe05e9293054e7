#include "fastserve/engine/version.h"

#include <algorithm>
#include <utility>

#include "fastserve/engine/contract.h"
#include "fastserve/engine/lane_slot.h"
#include "fastserve/engine/observer.h"
#include "fastserve/engine/reaper.h"
#include "fastserve/engine/workbench.h"

namespace fastserve::engine {
namespace {

// A curve not fed for this long no longer refuses work by prediction.
constexpr Nanos kCostFreshFor = 2 * kSecond;

int index_of(const std::vector<runtime::TensorSpec>& specs, std::string_view name) {
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

bool only_first_axis_varies(const runtime::Signature& signature) {
  for (const runtime::TensorSpec& input : signature.inputs) {
    for (size_t axis = 1; axis < input.shape.rank(); ++axis) {
      if (input.shape[axis] == kDynamic) return false;
    }
  }
  return true;
}

uint32_t most_rows(const VersionConfig& config) {
  const uint32_t bound = config.max_request_rows != 0 ? config.max_request_rows : UINT32_MAX;
  return config.has_fixed_rows ? std::min(bound, config.max_rows) : bound;
}

}  // namespace

Version::Version(VersionConfig config, QueueRules rules, std::unique_ptr<const Reshapes> reshapes,
                 std::shared_ptr<runtime::Session> session, size_t writers,
                 std::shared_ptr<Reaper> reaper, std::shared_ptr<Observer> observer)
    : queued_by_level(rules.any() ? rules.ranks() : 0),
      config_(std::move(config)),
      number_text_(std::to_string(config_.number)),
      rules_(std::move(rules)),
      reshapes_(std::move(reshapes)),
      session_(std::move(session)),
      signature_(reshapes_ != nullptr ? &reshapes_->graph() : &session_->signature()),
      wire_(reshapes_ != nullptr ? &reshapes_->wire() : signature_),
      reaper_(std::move(reaper)),
      observer_(std::move(observer)),
      has_one_lane_(!config_.is_batching || only_first_axis_varies(*wire_)),
      max_request_rows_(most_rows(config_)) {
  shards_.reserve(writers);
  workbenches_.reserve(writers);
  for (size_t i = 0; i < writers; ++i) {
    shards_.push_back(std::make_unique<StatsShard>());
    workbenches_.push_back(std::make_unique<Workbench>());
  }
}

Version::~Version() {
  if (sink_ != nullptr) observer_->remove(sink_number_);
}

void Version::watch(std::shared_ptr<ObservationSink> sink, std::shared_ptr<Contract> contract) {
  sink_ = std::move(sink);
  contract_ = std::move(contract);
  sink_number_ = observer_->add(sink_);
  for (size_t writer = 0; writer < workbenches_.size(); ++writer) {
    workbenches_[writer]->tap.emplace(observer_.get(), sink_number_, sink_.get(), writer);
  }
}

void Version::sweep() const { observer_->sweep(); }

void Version::observe_cost(uint32_t rows, Nanos cost, Nanos now) {
  if (rows == 0) return;  // says nothing about rows
  std::lock_guard lock(cost_mutex_);
  cost_.observe(rows, cost);
  cost_observed_at_.store(now, std::memory_order_relaxed);
}

bool Version::has_fresh_cost(Nanos now) const {
  return cost_.is_known() &&
         now - cost_observed_at_.load(std::memory_order_relaxed) < kCostFreshFor;
}

uint64_t Version::queued_rows_before(uint32_t level) const {
  if (queued_by_level.empty()) return queued_rows.load(std::memory_order_relaxed);
  uint64_t rows = 0;
  for (uint32_t rank = 0; rank <= level; ++rank) {
    rows += queued_by_level[rank].rows.load(std::memory_order_relaxed);
  }
  return rows;
}

int Version::input_index(std::string_view name) const { return index_of(signature().inputs, name); }

int Version::output_index(std::string_view name) const {
  return index_of(signature().outputs, name);
}

StatsSnapshot Version::stats_snapshot() const {
  StatsSnapshot sum;
  for (const auto& shard : shards_) sum.add(*shard);
  sum.queue_requests = queued_requests.load(std::memory_order_relaxed);
  sum.queue_rows = queued_rows.load(std::memory_order_relaxed);
  sum.in_flight = in_flight();
  return sum;
}

Nanos Version::last_inference() const {
  Nanos last = 0;
  for (const auto& shard : shards_) {
    last = std::max(last, shard->last_inference.load(std::memory_order_relaxed));
  }
  return last;
}

void Version::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  // The reaper outlives this call: the version holds it, and may die inside dispose().
  const std::shared_ptr<Reaper> reaper = reaper_;
  reaper->dispose(this);
}

}  // namespace fastserve::engine
