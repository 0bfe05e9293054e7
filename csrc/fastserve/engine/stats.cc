#include "fastserve/engine/stats.h"

#include <algorithm>

namespace fastserve::engine {

size_t bucket_of(Nanos duration) {
  const auto* bound = std::lower_bound(kBucketBounds.begin(), kBucketBounds.end(), duration);
  return static_cast<size_t>(bound - kBucketBounds.begin());
}

void Histogram::observe(Nanos duration, uint64_t times) {
  buckets[bucket_of(duration)].add(times);
  sum_ns.add(duration > 0 ? static_cast<uint64_t>(duration) * times : 0);
}

void StatsSnapshot::add(StatsShard& shard) {
  requests += shard.requests.get();
  rows += shard.rows.get();
  executions += shard.executions.get();
  failure_ns += shard.failure_ns.get();
  for (size_t i = 0; i < failures.size(); ++i) failures[i] += shard.failures[i].get();
  for (size_t i = 0; i < releases.size(); ++i) releases[i] += shard.releases[i].get();
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    const Histogram& histogram = shard.phases[phase];
    for (size_t i = 0; i < kBucketCount; ++i) buckets[phase][i] += histogram.buckets[i].get();
    sum_ns[phase] += histogram.sum_ns.get();
  }
  last_inference = std::max(last_inference, shard.last_inference.load(std::memory_order_relaxed));
  std::lock_guard lock(shard.batches_mutex);
  for (const auto& [batch_rows, batch] : shard.batches) {
    BatchStats& sum = batches[batch_rows];
    sum.executions += batch.executions;
    sum.compute_input_ns += batch.compute_input_ns;
    sum.compute_infer_ns += batch.compute_infer_ns;
    sum.compute_output_ns += batch.compute_output_ns;
  }
}

}  // namespace fastserve::engine
