// A QuantileSketch laid out for questions: its items in order, each with the weight up to it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fastserve/sketch/quantile_sketch.h"

namespace fastserve::sketch {

class Distribution {
 public:
  template <typename T>
  explicit Distribution(const QuantileSketch<T>& sketch);

  uint64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  // Ascending, without repeats; the first and the last are the exact minimum and maximum.
  std::span<const double> values() const { return values_; }
  // Of the values up to and with values()[i]; the last is count().
  std::span<const uint64_t> weights() const { return weights_; }

  // The share of values at or below `value` (DataSketches: inclusive), NaN when empty.
  double rank(double value) const;
  // The share of values below it.
  double rank_below(double value) const;
  // The smallest value whose rank is at least `rank`, which is cut to [0, 1]; NaN when empty.
  double quantile(double rank) const;
  // Shares within [edges[i], edges[i + 1]), the last closed. `edges` ascend.
  std::vector<double> histogram(std::span<const double> edges) const;

 private:
  uint64_t count_ = 0;
  std::vector<double> values_;
  std::vector<uint64_t> weights_;
};

}  // namespace fastserve::sketch
