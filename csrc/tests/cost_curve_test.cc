#include "fastserve/batch/cost_curve.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

using namespace fastserve;
using namespace fastserve::batch;

namespace {

Nanos affine(uint32_t rows) { return 50'000 + 700 * static_cast<Nanos>(rows); }

}  // namespace

TEST_CASE("cost curve knows nothing at first and then refuses nothing") {
  CostCurve curve;
  CHECK_FALSE(curve.is_known());
  CHECK(curve.predict(64) == 0);
  CHECK(curve.rows_within(1, 64) == 64);
  curve.relax();
  CHECK_FALSE(curve.is_known());
  curve.observe(1, 0);
  CHECK(curve.is_known());
  CHECK(curve.predict(1) == 1);
}

TEST_CASE("cost curve predicts an affine cost within 1 % whatever rows were seen") {
  std::mt19937 random(3);
  for (int mix = 0; mix < 20; ++mix) {
    CostCurve curve;
    // From two samples on the line is known, beyond the observed rows too.
    for (int i = 0; i < 300; ++i) {
      uint32_t rows = 1 + random() % (2u << (mix % 7 + 1));
      curve.observe(rows, affine(rows));
    }
    for (uint32_t rows = 1; rows <= 512; ++rows) {
      CAPTURE(mix);
      CAPTURE(rows);
      CHECK(std::abs(static_cast<double>(curve.predict(rows) - affine(rows))) <=
            0.01 * static_cast<double>(affine(rows)));
    }
  }
}

TEST_CASE("cost curve interpolates between two observed row counts and extends beyond them") {
  CostCurve curve;
  curve.observe(4, 1000);
  curve.observe(16, 4000);
  CHECK(curve.predict(4) == 1000);
  CHECK(curve.predict(16) == 4000);
  CHECK(curve.predict(8) == 2000);
  CHECK(curve.predict(10) == 2500);
  CHECK(curve.predict(32) == 8000);
  CHECK(curve.predict(2) == 500);
  CHECK(curve.predict(1u << 30) > curve.predict(1u << 20));
}

TEST_CASE("cost curve moves by at most an eighth up and a quarter down for one outlier") {
  for (Nanos outlier : {Nanos{0}, Nanos{1}, Nanos{10} * kSecond, kNever}) {
    CostCurve curve;
    for (int i = 0; i < 20; ++i) {
      for (uint32_t rows : {1u, 8u, 64u}) curve.observe(rows, affine(rows));
    }
    curve.observe(8, outlier);
    for (uint32_t rows : {1u, 4u, 8u, 16u, 64u, 128u}) {
      auto want = static_cast<double>(affine(rows));
      CHECK(static_cast<double>(curve.predict(rows)) <= want * 1.13);
      CHECK(static_cast<double>(curve.predict(rows)) >= want * 0.74);
    }
  }
}

TEST_CASE("cost curve forgets a bad first run and follows a true shift within 40 runs") {
  CostCurve curve;
  curve.observe(1, 100 * affine(1));
  for (int i = 0; i < 40; ++i) curve.observe(1, affine(1));
  CHECK(curve.predict(1) <= affine(1) * 11 / 10);
  for (int i = 0; i < 40; ++i) curve.observe(1, 10 * affine(1));
  CHECK(curve.predict(1) >= 9 * affine(1));
}

TEST_CASE("cost curve stays near the mean under noise") {
  std::mt19937 random(9);
  std::lognormal_distribution<double> noise(0, 0.2);
  CostCurve curve;
  for (int i = 0; i < 5000; ++i) {
    uint32_t rows = 1 + random() % 64;
    curve.observe(rows, static_cast<Nanos>(static_cast<double>(affine(rows)) * noise(random)));
  }
  for (uint32_t rows : {1u, 5u, 17u, 40u, 64u}) {
    double ratio = static_cast<double>(curve.predict(rows)) / static_cast<double>(affine(rows));
    CHECK(ratio > 0.75);
    CHECK(ratio < 1.35);
  }
}

TEST_CASE("cost curve never decreases in rows and rows_within agrees with it") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    CostCurve curve;
    for (uint64_t i = 0, n = 1 + random() % 60; i < n; ++i) {
      auto rows = static_cast<uint32_t>(1 + random() % (1u << (random() % 12)));
      curve.observe(rows, static_cast<Nanos>(random() % (uint64_t{1} << (random() % 40))));
    }
    Nanos last = 0;
    for (uint32_t rows = 1; rows < 3000; rows += 1 + rows / 40) {
      REQUIRE(curve.predict(rows) >= last);
      last = curve.predict(rows);
    }
    for (int i = 0; i < 50; ++i) {
      auto budget = static_cast<Nanos>(random() % (uint64_t{1} << (random() % 42)));
      auto max_rows = static_cast<uint32_t>(random() % 300);
      uint32_t fit = curve.rows_within(budget, max_rows);
      REQUIRE(fit <= max_rows);
      if (fit > 0) REQUIRE(curve.predict(fit) <= budget);
      if (fit < max_rows) REQUIRE(curve.predict(fit + 1) > budget);
    }
  }
}

TEST_CASE("relax brings an estimate down to a tenth within 600 refusals") {
  CostCurve curve;
  curve.observe(4, 10'000'000);
  for (int i = 0; i < 600; ++i) curve.relax();
  CHECK(curve.predict(4) < 1'000'000);
  CHECK(curve.predict(4) > 0);
}
