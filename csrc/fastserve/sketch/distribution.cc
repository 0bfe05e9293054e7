#include "fastserve/sketch/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace fastserve::sketch {

template <typename T>
Distribution::Distribution(const QuantileSketch<T>& sketch) : count_(sketch.count()) {
  if (sketch.empty()) return;
  std::vector<std::pair<double, uint64_t>> items;
  items.reserve(sketch.retained());
  for (size_t level = 0; level < sketch.level_count(); ++level) {
    for (const T item : sketch.level(level)) items.emplace_back(item, uint64_t{1} << level);
  }
  std::sort(items.begin(), items.end());
  values_.reserve(items.size() + 2);
  weights_.reserve(items.size() + 2);
  const auto minimum = static_cast<double>(sketch.minimum());
  const auto maximum = static_cast<double>(sketch.maximum());
  // Minimum and maximum are known even where their items were dropped: they weigh at least one.
  if (items.front().first > minimum) {
    values_.push_back(minimum);
    weights_.push_back(1);
  }
  uint64_t total = 0;
  for (const auto& [value, weight] : items) {
    total += weight;
    if (!values_.empty() && values_.back() == value) {
      weights_.back() = total;
    } else {
      values_.push_back(value);
      weights_.push_back(total);
    }
  }
  if (values_.back() < maximum) {
    weights_.back() -= 1;
    values_.push_back(maximum);
    weights_.push_back(total);
  }
}

double Distribution::rank(double value) const {
  if (empty() || std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
  const auto next = std::upper_bound(values_.begin(), values_.end(), value) - values_.begin();
  return next == 0 ? 0.0 : static_cast<double>(weights_[next - 1]) / static_cast<double>(count_);
}

double Distribution::rank_below(double value) const {
  if (empty() || std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
  const auto next = std::lower_bound(values_.begin(), values_.end(), value) - values_.begin();
  return next == 0 ? 0.0 : static_cast<double>(weights_[next - 1]) / static_cast<double>(count_);
}

double Distribution::quantile(double rank) const {
  if (empty() || std::isnan(rank)) return std::numeric_limits<double>::quiet_NaN();
  const double wanted = std::clamp(rank, 0.0, 1.0) * static_cast<double>(count_);
  const auto reaches = [](uint64_t weight, double target) {
    return static_cast<double>(weight) < target;
  };
  const auto found = std::lower_bound(weights_.begin(), weights_.end(), wanted, reaches);
  return values_[std::min<size_t>(found - weights_.begin(), values_.size() - 1)];
}

std::vector<double> Distribution::histogram(std::span<const double> edges) const {
  std::vector<double> shares;
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    const double end = i + 2 == edges.size() ? rank(edges[i + 1]) : rank_below(edges[i + 1]);
    shares.push_back(std::max(0.0, end - rank_below(edges[i])));
  }
  return shares;
}

template Distribution::Distribution(const QuantileSketch<float>&);
template Distribution::Distribution(const QuantileSketch<double>&);

}  // namespace fastserve::sketch
