// Count, mean and variance of a column, and counts of what is not an ordinary number.
//
// Mean and M2 (the sum of squared deviations from the mean) are kept per block and joined by the
// pairwise formula of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
// Computing Sample Variances" (1979). A sum of squares would lose every digit of a column such as
// a timestamp, whose mean is large against its deviation. NaN and infinities are counted and
// enter nothing else.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace fastserve::sketch {

struct Moments {
  uint64_t count = 0;     // all values
  uint64_t missing = 0;   // NaN
  uint64_t infinite = 0;  // either sign
  uint64_t zeros = 0;
  // Of the finite values; as below while there are none.
  double minimum = std::numeric_limits<double>::infinity();
  double maximum = -std::numeric_limits<double>::infinity();
  double mean = 0;
  double m2 = 0;

  uint64_t finite() const { return count - missing - infinite; }
  // Of the population (divided by the count, not the count less one). NaN without a finite value.
  double deviation() const {
    return finite() == 0 ? std::numeric_limits<double>::quiet_NaN()
                         : std::sqrt(m2 / static_cast<double>(finite()));
  }

  void merge(const Moments& other) {
    join(other.finite(), other.mean, other.m2);
    count += other.count;
    missing += other.missing;
    infinite += other.infinite;
    zeros += other.zeros;
    minimum = std::fmin(minimum, other.minimum);
    maximum = std::fmax(maximum, other.maximum);
  }
  // Joins the mean and M2 of `other_finite` values; before `count` is raised by them.
  void join(uint64_t other_finite, double other_mean, double other_m2) {
    if (other_finite == 0) return;
    const auto ours = static_cast<double>(finite());
    const auto theirs = static_cast<double>(other_finite);
    const double share = theirs / (ours + theirs);
    const double delta = other_mean - mean;
    mean += delta * share;
    m2 += other_m2 + delta * delta * ours * share;
  }
};

}  // namespace fastserve::sketch
