// What a version's batches cost, learned from its own runs: predicted run time as a function of
// rows.
//
// Estimator. One bucket per power of two of rows (bucket k: 2^k <= rows < 2^(k+1)) keeps an
// exponentially weighted mean of (rows, cost), as one point. Where cost is affine in rows the point
// lies on the true line whatever the mix of rows in the bucket. After each run the points are made
// monotone (isotonic regression by pooling adjacent violators) and the piecewise linear curve
// through them is sampled at the powers of two, so that predicting is two loads and a
// multiplication.
//
// Robustness. A sample is clamped to [1/2, 2] of what the curve predicts before it enters the mean
// with weight 1/8 (1/2 when it was below half: a bad first run must not last). So one outlier,
// however large, raises a bucket by at most 12.5 % and lowers it by at most 25 %, while a true
// shift of 10x is followed within some 20 runs.
//
// Thread: observe() and relax() by one thread at a time (the scheduler's lock); the rest by any
// thread. A prediction made during an update may mix two neighbouring states of the curve.
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
  // Lowers every estimate by 1/256. To be called when a request is refused by a prediction alone:
  // no run follows a refusal, so without this an estimate that was learned while the machine was
  // slow would refuse for ever.
  void relax();
  // Expected time of a run of `rows` rows: interpolated between the observed row counts, extended
  // linearly beyond them, never decreasing in rows. 0 while nothing is known.
  Nanos predict(uint32_t rows) const;
  // The most rows (1..max_rows) whose predicted time is within `budget`; 0 when even one row is
  // not. max_rows while nothing is known.
  uint32_t rows_within(Nanos budget, uint32_t max_rows) const;
  bool is_known() const { return is_known_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kBuckets = 24;  // up to 2^24 rows; more count as the last bucket

  struct Point {
    double rows = 0;  // 0: nothing observed in this bucket
    double cost = 0;
  };

  void publish();

  std::array<Point, kBuckets> points_;  // the writer's
  // The curve at 2^k rows, for readers. One more than buckets, so that every bucket has two ends.
  std::array<std::atomic<int64_t>, kBuckets + 1> at_power_ns_{};
  std::atomic<bool> is_known_{false};
};

}  // namespace fastserve::batch
