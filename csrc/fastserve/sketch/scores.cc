#include "fastserve/sketch/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace fastserve::sketch {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Shares of both sides in the same bins, and how many values each side has.
struct Bins {
  std::vector<double> reference;
  std::vector<double> live;
  double reference_count = 0;
  double live_count = 0;
};

Bins bins_of(const Distribution& reference, const Distribution& live) {
  Bins bins;
  bins.reference_count = static_cast<double>(reference.count());
  bins.live_count = static_cast<double>(live.count());
  std::vector<double> cuts;
  for (size_t i = 1; i < kScoreBins; ++i) {
    const double cut = reference.quantile(static_cast<double>(i) / kScoreBins);
    if (cuts.empty() || cut > cuts.back()) cuts.push_back(cut);
  }
  // A bin is what is above one cut and up to the next, that included.
  double reference_before = 0;
  double live_before = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const double reference_rank = i == cuts.size() ? 1 : reference.rank(cuts[i]);
    const double live_rank = i == cuts.size() ? 1 : live.rank(cuts[i]);
    bins.reference.push_back(std::max(0.0, reference_rank - reference_before));
    bins.live.push_back(std::max(0.0, live_rank - live_before));
    reference_before = reference_rank;
    live_before = live_rank;
  }
  return bins;
}

Bins bins_of(const CategorySketch& reference, const CategorySketch& live) {
  Bins bins;
  bins.reference_count = static_cast<double>(reference.count() - reference.missing());
  bins.live_count = static_cast<double>(live.count() - live.missing());
  // In the order of keys: sums do not depend on what came first.
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> counts;
  uint64_t reference_counted = 0;
  uint64_t live_counted = 0;
  for (const CategorySketch::Entry& entry : reference.entries()) {
    counts[entry.key].first = entry.count;
    reference_counted += entry.count;
  }
  for (const CategorySketch::Entry& entry : live.entries()) {
    counts[entry.key].second = entry.count;
    live_counted += entry.count;
  }
  for (const auto& [key, of] : counts) {
    bins.reference.push_back(static_cast<double>(of.first) / bins.reference_count);
    bins.live.push_back(static_cast<double>(of.second) / bins.live_count);
  }
  const auto reference_rest = bins.reference_count - static_cast<double>(reference_counted);
  const auto live_rest = bins.live_count - static_cast<double>(live_counted);
  if (reference_rest > 0 || live_rest > 0) {
    bins.reference.push_back(reference_rest / bins.reference_count);
    bins.live.push_back(live_rest / bins.live_count);
  }
  return bins;
}

double psi_of(const Bins& bins) {
  const double half_each = static_cast<double>(bins.reference.size()) / 2;
  double psi = 0;
  for (size_t i = 0; i < bins.reference.size(); ++i) {
    const double p =
        (bins.reference[i] * bins.reference_count + 0.5) / (bins.reference_count + half_each);
    const double q = (bins.live[i] * bins.live_count + 0.5) / (bins.live_count + half_each);
    psi += (q - p) * std::log(q / p);
  }
  return psi;
}

double jensen_shannon_of(const Bins& bins) {
  double divergence = 0;
  const auto part = [](double share, double middle) {
    return share == 0 ? 0.0 : 0.5 * share * std::log2(share / middle);
  };
  for (size_t i = 0; i < bins.reference.size(); ++i) {
    const double middle = (bins.reference[i] + bins.live[i]) / 2;
    divergence += part(bins.reference[i], middle) + part(bins.live[i], middle);
  }
  return std::sqrt(std::clamp(divergence, 0.0, 1.0));
}

double cramers_v_of(const Bins& bins) {
  double sum = 0;
  for (size_t i = 0; i < bins.reference.size(); ++i) {
    const double total = bins.reference[i] + bins.live[i];
    const double difference = bins.reference[i] - bins.live[i];
    if (total > 0) sum += difference * difference / total;
  }
  return std::sqrt(std::min(1.0, sum / 2));
}

struct Distances {
  double largest = 0;  // between the distribution functions
  double area = 0;
};

// One walk over the values of both, in order.
Distances distances_of(const Distribution& reference, const Distribution& live) {
  Distances distances;
  double reference_rank = 0;
  double live_rank = 0;
  double before = 0;
  size_t i = 0;
  size_t j = 0;
  const auto a = reference.values();
  const auto b = live.values();
  while (i < a.size() || j < b.size()) {
    const double value = j == b.size() || (i < a.size() && a[i] <= b[j]) ? a[i] : b[j];
    const double gap = std::abs(reference_rank - live_rank);
    // At the first value both ranks are 0; an infinite width must not make NaN of it.
    if (gap > 0) distances.area += gap * (value - before);
    if (i < a.size() && a[i] == value) {
      reference_rank =
          static_cast<double>(reference.weights()[i++]) / static_cast<double>(reference.count());
    }
    if (j < b.size() && b[j] == value) {
      live_rank = static_cast<double>(live.weights()[j++]) / static_cast<double>(live.count());
    }
    distances.largest = std::max(distances.largest, std::abs(reference_rank - live_rank));
    before = value;
  }
  return distances;
}

double share(uint64_t part, uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);  // NaN of no values
}

FeatureScores scores_of(const NumberFeature& reference, const NumberFeature& live) {
  FeatureScores scores = {kNone, kNone, kNone, kNone, kNone, kNone};
  const Moments& r = reference.moments;
  const Moments& l = live.moments;
  scores.missing_change =
      share(l.missing + l.infinite, l.count) - share(r.missing + r.infinite, r.count);
  if (reference.distribution.empty() || live.distribution.empty()) return scores;
  const Bins bins = bins_of(reference.distribution, live.distribution);
  scores.psi = psi_of(bins);
  scores.jensen_shannon = jensen_shannon_of(bins);
  const Distances distances = distances_of(reference.distribution, live.distribution);
  scores.kolmogorov_smirnov = distances.largest;
  const double deviation = r.deviation();
  scores.wasserstein = deviation > 0         ? distances.area / deviation
                       : distances.area == 0 ? 0
                                             : kInfinite;
  return scores;
}

FeatureScores scores_of(const CategorySketch& reference, const CategorySketch& live) {
  FeatureScores scores = {kNone, kNone, kNone, kNone, kNone, kNone};
  scores.missing_change =
      share(live.missing(), live.count()) - share(reference.missing(), reference.count());
  if (reference.count() == reference.missing() || live.count() == live.missing()) return scores;
  const Bins bins = bins_of(reference, live);
  scores.psi = psi_of(bins);
  scores.jensen_shannon = jensen_shannon_of(bins);
  scores.cramers_v = cramers_v_of(bins);
  return scores;
}

}  // namespace

Result<std::vector<FeatureScores>> scores(const TableSketch& reference, const TableSketch& live) {
  if (!(reference.schema() == live.schema())) {
    return invalid_argument("the reference has another schema: " +
                            std::to_string(reference.schema().features().size()) +
                            " features, expected the same " +
                            std::to_string(live.schema().features().size()));
  }
  std::vector<FeatureScores> all;
  for (size_t feature = 0; feature < live.schema().features().size(); ++feature) {
    if (const CategorySketch* category = live.category(feature); category != nullptr) {
      all.push_back(scores_of(*reference.category(feature), *category));
    } else {
      all.push_back(scores_of(*reference.number(feature), *live.number(feature)));
    }
  }
  return all;
}

}  // namespace fastserve::sketch
