#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fastserve/base/random.h"
#include "fastserve/bench/histogram.h"

namespace fastserve::bench {
namespace {

TEST_CASE("load_histogram tells every value within 1/256 of itself") {
  uint64_t bits = 1;
  for (int i = 0; i < 100'000; ++i) {
    bits += kGoldenStep;
    const auto value = static_cast<Nanos>(mix(bits) >> (21 + i % 43));
    const double told = HistogramScale::value_of(HistogramScale::bucket_of(value));
    REQUIRE(std::abs(told - static_cast<double>(value)) <= static_cast<double>(value) / 256);
  }
}

TEST_CASE("load_histogram has the edges of octaves in buckets that follow each other") {
  for (int octave = 0; octave < HistogramScale::kLargestBits; ++octave) {
    const Nanos edge = Nanos{1} << octave;
    const size_t at = HistogramScale::bucket_of(edge);
    CHECK(at == HistogramScale::bucket_of(edge - 1) + 1);
    CHECK(at < HistogramScale::kBuckets);
  }
}

TEST_CASE("load_histogram keeps what is out of range at its ends") {
  CHECK(HistogramScale::bucket_of(-5) == 0);
  CHECK(HistogramScale::bucket_of(kNever) == HistogramScale::kBuckets - 1);
}

TEST_CASE("load_histogram adds its counts to sums") {
  Histogram one;
  Histogram other;
  one.add(7);
  one.add(1000);
  other.add(7);
  std::vector<uint64_t> sums;
  one.add_to(&sums);
  other.add_to(&sums);
  CHECK(sums[7] == 2);
  CHECK(sums[HistogramScale::bucket_of(1000)] == 1);
}

}  // namespace
}  // namespace fastserve::bench
