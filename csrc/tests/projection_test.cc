#include "fastserve/sketch/projection.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "fastserve/tensor/half.h"

using namespace fastserve;
using namespace fastserve::sketch;

namespace {

struct Derived {
  double norm, mean, projections[kProjections];
};

template <typename T>
Derived derive(DType dtype, const std::vector<T>& row) {
  Derived derived;
  // One byte off: rows come at any alignment.
  std::vector<std::byte> bytes(row.size() * sizeof(T) + 1);
  if (!row.empty()) std::memcpy(bytes.data() + 1, row.data(), row.size() * sizeof(T));
  derive_row(dtype, bytes.data() + 1, row.size(), &derived.norm);
  return derived;
}

template <typename T>
std::vector<T> normal_row(std::mt19937_64* random, size_t size, double mean) {
  std::normal_distribution<double> normal(mean, 1);
  std::vector<T> row(size);
  for (T& value : row) value = static_cast<T>(normal(*random));
  return row;
}

}  // namespace

TEST_CASE("norm and mean of a row are those of its elements") {
  std::mt19937_64 random(3);
  for (const size_t size : {1, 31, 32, 33, 129, 1024, 1025, 5000}) {
    const auto row = normal_row<float>(&random, size, 2);
    double sum = 0;
    double squares = 0;
    for (const float value : row) {
      sum += value;
      squares += double{value} * value;
    }
    const Derived derived = derive(DType::kFp32, row);
    CHECK(derived.norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-5));
    CHECK(derived.mean == doctest::Approx(sum / static_cast<double>(size)).epsilon(1e-5));
  }
}

TEST_CASE("a projection adds each element with a sign of its place alone") {
  constexpr size_t kSize = 2500;
  std::mt19937_64 random(5);
  // The signs, found by one element at a time.
  std::vector<Derived> signs;
  std::vector<double> unit(kSize, 0);
  for (size_t i = 0; i < kSize; ++i) {
    unit[i] = 1;
    signs.push_back(derive(DType::kFp64, unit));
    unit[i] = 0;
  }
  const auto row = normal_row<double>(&random, kSize, 0);
  const Derived derived = derive(DType::kFp64, row);
  const std::vector<double> beginning(row.begin(), row.begin() + 700);
  const Derived shorter = derive(DType::kFp64, beginning);
  for (size_t j = 0; j < kProjections; ++j) {
    double sum = 0;
    double shorter_sum = 0;
    double plus = 0;
    for (size_t i = 0; i < kSize; ++i) {
      const double sign = signs[i].projections[j] > 0 ? 1 : -1;
      CHECK(std::abs(signs[i].projections[j]) == doctest::Approx(1 / std::sqrt(double{kSize})));
      sum += sign * row[i];
      if (i < 700) shorter_sum += sign * row[i];
      plus += sign > 0 ? 1 : 0;
    }
    CHECK(derived.projections[j] == doctest::Approx(sum / std::sqrt(double{kSize})).epsilon(1e-9));
    CHECK(shorter.projections[j] == doctest::Approx(shorter_sum / std::sqrt(700.0)).epsilon(1e-9));
    CHECK(std::abs(plus - kSize / 2.0) < 4 * std::sqrt(kSize / 4.0));  // a fair coin
  }
}

TEST_CASE("rows of every type give the numbers of their values") {
  std::mt19937_64 random(7);
  std::vector<double> values(300);
  for (double& value : values) value = static_cast<double>(random() % 100);
  const Derived expected = derive(DType::kFp64, values);
  const auto check = [&](DType dtype, auto sample) {
    std::vector<decltype(sample)> row;
    for (const double value : values) row.push_back(static_cast<decltype(sample)>(value));
    const Derived derived = derive(dtype, row);
    CHECK(derived.norm == doctest::Approx(expected.norm).epsilon(1e-6));
    CHECK(derived.mean == doctest::Approx(expected.mean).epsilon(1e-6));
    for (size_t j = 0; j < kProjections; ++j) {
      CHECK(derived.projections[j] == doctest::Approx(expected.projections[j]).epsilon(1e-5));
    }
  };
  check(DType::kFp32, float{});
  check(DType::kUint8, uint8_t{});
  check(DType::kInt8, int8_t{});
  check(DType::kUint16, uint16_t{});
  check(DType::kInt16, int16_t{});
  check(DType::kUint32, uint32_t{});
  check(DType::kInt32, int32_t{});
  check(DType::kUint64, uint64_t{});
  check(DType::kInt64, int64_t{});
}

TEST_CASE("the norm of large floats does not overflow, and what is not finite shows") {
  const Derived large = derive(DType::kFp32, std::vector<float>(400, 1e30F));
  CHECK(large.norm == doctest::Approx(2e31));
  std::vector<float> row(400, 1.0F);
  row[399] = NAN;
  CHECK(std::isnan(derive(DType::kFp32, row).norm));
  CHECK(std::isnan(derive(DType::kFp32, row).projections[0]));
  const Derived none = derive(DType::kFp32, std::vector<float>());
  CHECK(none.norm == 0);
  CHECK(std::isnan(none.mean));
}

TEST_CASE("halves become the floats that they stand for, every one of them") {
  std::vector<uint16_t> halves(65'536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  std::vector<float> floats(halves.size());
  floats_from_halves(reinterpret_cast<const std::byte*>(halves.data()), halves.size(),
                     floats.data());
  for (size_t i = 0; i < halves.size(); ++i) {
    const float expected = float_from_half(halves[i]);
    if (std::isnan(expected)) {
      REQUIRE(std::isnan(floats[i]));
    } else {
      REQUIRE(std::bit_cast<uint32_t>(floats[i]) == std::bit_cast<uint32_t>(expected));
    }
  }
}
