#include "fastserve/batch/cost_curve.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace fastserve::batch {
namespace {

constexpr double kWeight = 1.0 / 8;
constexpr double kRecoveryWeight = 1.0 / 2;
constexpr double kClamp = 2.0;
// The first sample of a bucket is checked against its neighbours only, which know it less well.
constexpr double kFirstClamp = 4.0;
constexpr double kRelax = 255.0 / 256;

size_t bucket_of(uint32_t rows, size_t buckets) {
  size_t power = static_cast<size_t>(std::bit_width(std::max(rows, 1u))) - 1;
  return std::min(power, buckets - 1);
}

struct Knot {
  double rows;
  double cost;
  int weight;  // buckets pooled into this level
};

// The line through two knots; a lone knot is taken to have no fixed cost.
double extend(const Knot& a, const Knot& b, double rows) {
  if (a.rows == b.rows) return a.cost * rows / a.rows;
  return a.cost + (b.cost - a.cost) * (rows - a.rows) / (b.rows - a.rows);
}

}  // namespace

void CostCurve::observe(uint32_t rows, Nanos cost) {
  rows = std::max(rows, 1u);
  Point& point = points_[bucket_of(rows, kBuckets)];
  double sample = static_cast<double>(std::max<Nanos>(cost, 1));
  double expected = static_cast<double>(predict(rows));
  if (point.rows == 0) {
    if (is_known()) sample = std::min(sample, std::max(expected, 1.0) * kFirstClamp);
    point = {static_cast<double>(rows), sample};
  } else {
    expected = std::max(expected, 1.0);
    double weight = sample < expected / kClamp ? kRecoveryWeight : kWeight;
    sample = std::clamp(sample, expected / kClamp, expected * kClamp);
    point.rows += weight * (rows - point.rows);
    point.cost += weight * (sample - point.cost);
  }
  publish();
}

void CostCurve::relax() {
  if (!is_known()) return;
  for (Point& point : points_) point.cost *= kRelax;
  publish();
}

void CostCurve::publish() {
  std::array<Knot, kBuckets> knots;
  std::array<Knot, kBuckets> level;  // pooled costs, one per run of violators
  size_t count = 0;
  size_t levels = 0;
  for (const Point& point : points_) {
    if (point.rows == 0) continue;
    knots[count++] = {point.rows, point.cost, 1};
    Knot pooled{0, point.cost, 1};
    while (levels > 0 && level[levels - 1].cost > pooled.cost) {
      const Knot& before = level[--levels];
      pooled.cost = (pooled.cost * pooled.weight + before.cost * before.weight) /
                    (pooled.weight + before.weight);
      pooled.weight += before.weight;
    }
    level[levels++] = pooled;
  }
  for (size_t i = 0, next = 0; i < levels; ++i) {
    for (int k = 0; k < level[i].weight; ++k) knots[next++].cost = level[i].cost;
  }

  const Knot& first = knots[0];
  const Knot& second = knots[count > 1 ? 1 : 0];
  const Knot& last = knots[count - 1];
  const Knot& before_last = knots[count > 1 ? count - 2 : 0];
  size_t right = 0;  // the first knot at or beyond `rows`
  double previous = 0;
  for (size_t power = 0; power <= kBuckets; ++power) {
    auto rows = static_cast<double>(uint64_t{1} << power);
    while (right < count && knots[right].rows < rows) ++right;
    double cost;
    if (right == count) {
      cost = extend(before_last, last, rows);
    } else if (right == 0) {
      // Never below the share of the first knot: a line may cross zero, a run may not.
      cost = std::max(extend(first, second, rows), first.cost * rows / first.rows);
    } else {
      cost = extend(knots[right - 1], knots[right], rows);
    }
    // Rounding only: the curve itself is monotone.
    previous = std::max(previous, std::min(cost, 4e18));
    at_power_ns_[power].store(std::max<int64_t>(1, std::llround(previous)),
                              std::memory_order_relaxed);
  }
  is_known_.store(true, std::memory_order_release);
}

Nanos CostCurve::predict(uint32_t rows) const {
  if (!is_known_.load(std::memory_order_acquire)) return 0;
  rows = std::max(rows, 1u);
  size_t power = bucket_of(rows, kBuckets);
  int64_t low = at_power_ns_[power].load(std::memory_order_relaxed);
  int64_t high = std::max(low, at_power_ns_[power + 1].load(std::memory_order_relaxed));
  auto base = static_cast<double>(uint64_t{1} << power);
  double cost = static_cast<double>(low) + static_cast<double>(high - low) * (rows - base) / base;
  return cost < 9e18 ? static_cast<Nanos>(cost) : kNever;
}

uint32_t CostCurve::rows_within(Nanos budget, uint32_t max_rows) const {
  if (!is_known() || max_rows == 0 || predict(max_rows) <= budget) return max_rows;
  // Invariant: low rows fit (0 always does), high rows do not.
  uint32_t low = 0;
  uint32_t high = max_rows;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    (predict(middle) <= budget ? low : high) = middle;
  }
  return low;
}

}  // namespace fastserve::batch
