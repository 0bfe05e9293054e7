// How far what is live is from its reference, for each feature.
//
// Scores are sizes of an effect, not p-values: with many rows every difference is significant. All
// are computed from the sketches, so each carries their errors: a rank is off by at most
// `rank_error(k)` (1.33 % for float) and a category's share by CategorySketch::error().
//
// psi                 Population stability index: sum of (q - p) ln(q / p) over bins, p the
//                     reference's share and q the live one (Siddiqi, "Credit Risk Scorecards",
//                     2006). Bins of numbers: kScoreBins, cut at the reference's quantiles (fewer
//                     where they coincide); of categories: each value that either side counts, the
//                     rest as one. A share is (n + 1/2) / (N + bins / 2), so that an empty bin is
//                     no infinity (Jeffreys' prior). With few rows the expectation is not 0 but
//                     about (bins - 1) (1 / N_reference + 1 / N_live) (Yurdakul, "Statistical
//                     Properties of Population Stability Index", 2018): 0.09 for 100 live rows and
//                     10 bins.
// jensen_shannon      Distance: the root of the Jensen-Shannon divergence in base 2, hence 0 to 1
//                     (Endres, Schindelin, "A new metric for probability distributions", 2003).
//                     Same bins, shares not smoothed.
// kolmogorov_smirnov  Largest difference of the two distribution functions, at every value that
//                     either sketch kept. Numbers.
// wasserstein         Area between the two distribution functions (Wasserstein-1, earth mover's
//                     distance) divided by the reference's standard deviation. Numbers. Of a
//                     constant reference: 0 where nothing moved, else infinity.
// cramers_v           Effect size of the chi-square test of value against side (Cramer,
// "Mathematical
//                     Methods of Statistics", 1946), from shares, as if both sides had equally many
//                     rows: sqrt(sum of (p - q)^2 / (p + q) / 2). From counts it would shrink with
//                     the window, only because the reference is larger. Categories.
// missing_change      Share of missing and infinite values, live less reference.
#pragma once

#include <vector>

#include "fastserve/base/status.h"
#include "fastserve/sketch/table_sketch.h"

namespace fastserve::sketch {

inline constexpr size_t kScoreBins = 10;

// NaN where a score does not apply, or where a side has no value to compare.
struct FeatureScores {
  double psi;
  double jensen_shannon;
  double kolmogorov_smirnov;
  double wasserstein;
  double cramers_v;
  double missing_change;
};

// One for each feature. Errors: kInvalidArgument when the schemas differ.
Result<std::vector<FeatureScores>> scores(const TableSketch& reference, const TableSketch& live);

}  // namespace fastserve::sketch
