// What a version's batches cost, learned from its own runs: predicted run time as a function of rows.
//
// Thread: observe() by one thread at a time (the scheduler's lock); predict() by any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "fastserve/base/clock.h"

namespace fastserve::batch {

class CostCurve {
 public:
  // A finished run of `rows` rows took `cost`.
  void observe(uint32_t rows, Nanos cost);
  // Expected time of a run of `rows` rows: interpolated between the observed row counts, extended
  // linearly beyond them, never decreasing in rows. 0 while nothing is known.
  Nanos predict(uint32_t rows) const;
  // The most rows (1..max_rows) whose predicted time is within `budget`; 0 when even one row is not.
  // max_rows while nothing is known.
  uint32_t rows_within(Nanos budget, uint32_t max_rows) const;
  bool is_known() const;

 private:
  // One bucket per power of two of rows, each an exponentially weighted mean; the implementer
  // chooses the estimator, states it, and bounds its error in tests.
  static constexpr size_t kBuckets = 24;
  std::array<std::atomic<int64_t>, kBuckets> mean_ns_{};
};

}  // namespace fastserve::batch
