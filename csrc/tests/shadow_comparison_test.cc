#include "fastserve/engine/shadow_comparison.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace fastserve {
namespace {

using engine::ShadowComparison;
using engine::ShadowOutputTally;
using engine::ShadowOutputView;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Of FP32 rows.
ShadowOutputTally compare(const std::vector<float>& live, const std::vector<float>& candidate,
                          int64_t rows) {
  ShadowComparison comparison({.absolute = 1e-6, .relative = 1e-3});
  const Shape shape = {rows, static_cast<int64_t>(live.size()) / rows};
  const ShadowOutputView a{DType::kFp32, shape, std::as_bytes(std::span(live))};
  const ShadowOutputView b{DType::kFp32, shape, std::as_bytes(std::span(candidate))};
  ShadowOutputTally tally;
  comparison.begin(static_cast<uint32_t>(rows));
  comparison.add(a, &b, &tally);
  CHECK(comparison.differing_rows() == tally.differing_rows);
  return tally;
}

TEST_SUITE_BEGIN("shadow comparison");

TEST_CASE("a difference within the tolerance is unequal and does not differ") {
  const ShadowOutputTally tally = compare({1000, 1}, {1000.5, 1.5}, 2);
  CHECK(tally.rows == 2);
  CHECK(tally.unequal_rows == 2);
  CHECK(tally.differing_rows == 1);
  CHECK(tally.max_absolute == 0.5);
  CHECK(tally.max_relative == 0.5);
}

TEST_CASE("a relative difference near zero is held against the floor") {
  CHECK(compare({0}, {1e-7F}, 1).max_relative == doctest::Approx(0.1));
  CHECK(compare({0}, {1e-7F}, 1).differing_rows == 0);
}

TEST_CASE("NaN on one side differs, on both it does not") {
  const ShadowOutputTally tally = compare({kNan, kNan, 1}, {kNan, 1, kNan}, 3);
  CHECK(tally.nan_rows == 2);
  CHECK(tally.differing_rows == 2);
  REQUIRE(tally.worst.size() == 2);
  CHECK(std::isinf(tally.worst[0].difference));
}

TEST_CASE("an infinity equals itself and is infinitely far from all else") {
  CHECK(compare({kInfinity}, {kInfinity}, 1).unequal_rows == 0);
  const ShadowOutputTally tally = compare({kInfinity}, {1}, 1);
  CHECK(tally.differing_rows == 1);
  CHECK(std::isinf(tally.max_absolute));
}

TEST_CASE("a row whose class changed is a flip and differs, however near the scores are") {
  const ShadowOutputTally tally =
      compare({0.5F, 0.50001F, 0.9F, 0.1F}, {0.50001F, 0.5F, 0.9F, 0.1F}, 2);
  CHECK(tally.argmax_rows == 2);
  CHECK(tally.argmax_flips == 1);
  CHECK(tally.differing_rows == 1);
}

TEST_CASE("a class that ties for the highest score has not flipped") {
  CHECK(compare({0.4F, 0.6F}, {0.6F, 0.6F}, 1).argmax_flips == 0);
}

TEST_CASE("rank correlation is one for the same order and minus one for the opposite") {
  const ShadowOutputTally same = compare({1, 2, 3}, {10, 20, 30}, 1);
  CHECK(same.correlated_rows == 1);
  CHECK(same.correlation_sum == doctest::Approx(1));
  CHECK(compare({1, 2, 3}, {3, 2, 1}, 1).min_correlation == doctest::Approx(-1));
  // scipy.stats.spearmanr([1, 2, 2, 4], [1, 3, 2, 4]).
  CHECK(compare({1, 2, 2, 4}, {1, 3, 2, 4}, 1).min_correlation == doctest::Approx(0.9486833));
  CHECK(compare({1, 1, 1}, {1, 2, 3}, 1).correlated_rows == 0);
  CHECK(compare({1, 2}, {2, 1}, 1).correlated_rows == 0);
}

TEST_CASE("another number of elements is a wrong shape in every row") {
  const ShadowOutputTally tally = compare({1, 2}, {1}, 2);
  CHECK(tally.wrong_shape_rows == 2);
  CHECK(tally.differing_rows == 2);
}

TEST_CASE("integers are equal or differ, also where their doubles are the same") {
  const std::vector<int64_t> live = {1, int64_t{1} << 60};
  const std::vector<int64_t> candidate = {2, (int64_t{1} << 60) + 1};
  ShadowComparison comparison({.absolute = 10, .relative = 10});
  const ShadowOutputView a{DType::kInt64, {2}, std::as_bytes(std::span(live))};
  const ShadowOutputView b{DType::kInt64, {2}, std::as_bytes(std::span(candidate))};
  ShadowOutputTally tally;
  comparison.begin(2);
  comparison.add(a, &b, &tally);
  CHECK(tally.differing_rows == 2);
  CHECK(tally.argmax_rows == 0);
}

TEST_CASE("BYTES are compared element by element") {
  const auto packed = [](const std::vector<std::string>& texts) {
    std::string bytes;
    for (const std::string& text : texts) {
      const auto length = static_cast<uint32_t>(text.size());
      bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
      bytes += text;
    }
    return bytes;
  };
  const std::string live = packed({"cat", "dog"});
  const std::string candidate = packed({"cat", "fox"});
  ShadowComparison comparison({});
  const ShadowOutputView a{DType::kBytes, {2}, as_bytes(live)};
  const ShadowOutputView b{DType::kBytes, {2}, as_bytes(candidate)};
  ShadowOutputTally tally;
  comparison.begin(2);
  comparison.add(a, &b, &tally);
  CHECK(tally.differing_rows == 1);
  REQUIRE(tally.worst.size() == 1);
  CHECK(tally.worst[0].row == 1);
  CHECK(tally.worst[0].candidate == std::vector<std::string>{"fox"});
}

TEST_CASE("merged tallies are those of all rows, with the worst of both") {
  ShadowOutputTally first = compare({1, 1, 1, 1}, {2, 3, 4, 5}, 4);
  const ShadowOutputTally second = compare({1, 1, 1}, {1, 10, 9}, 3);
  first.merge(second);
  CHECK(first.rows == 7);
  CHECK(first.differing_rows == 6);
  CHECK(first.max_absolute == 9);
  REQUIRE(first.worst.size() == engine::kWorstRows);
  CHECK(first.worst[0].difference == 9);
  CHECK(first.worst[1].difference == 8);
  CHECK(first.worst[4].difference == 2);
}

TEST_SUITE_END();

}  // namespace
}  // namespace fastserve
