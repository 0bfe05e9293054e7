#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fastserve/bench/schedule.h"

namespace fastserve::bench {
namespace {

std::vector<Nanos> dues(Schedule schedule, int count) {
  std::vector<Nanos> found;
  for (int i = 0; i < count; ++i) {
    found.push_back(schedule.due());
    schedule.advance();
  }
  return found;
}

TEST_CASE("load_schedule keeps a constant rate without drift") {
  Schedule schedule(Arrivals::kConstant, 30'000, 5, 0, 1);
  CHECK(schedule.due() == 5);
  for (int i = 0; i < 3'000'000; ++i) schedule.advance();
  CHECK(schedule.due() == 5 + 100 * kSecond);
}

TEST_CASE("load_schedule interleaves threads that share a constant rate") {
  const auto first = dues(Schedule(Arrivals::kConstant, 500, 0, 0, 1), 3);
  const auto second = dues(Schedule(Arrivals::kConstant, 500, 0, 0.5, 1), 3);
  CHECK(first == std::vector<Nanos>{0, 2 * kMillisecond, 4 * kMillisecond});
  CHECK(second == std::vector<Nanos>{kMillisecond, 3 * kMillisecond, 5 * kMillisecond});
}

TEST_CASE("load_schedule draws exponential gaps whose mean and deviation are the rate's") {
  constexpr int kCount = 200'000;
  const auto times = dues(Schedule(Arrivals::kPoisson, 1000, 0, 0, 7), kCount);
  double sum = 0;
  double squares = 0;
  Nanos before = 0;
  for (const Nanos time : times) {
    REQUIRE(time >= before);
    const auto gap = static_cast<double>(time - before);
    sum += gap;
    squares += gap * gap;
    before = time;
  }
  const double mean = sum / kCount;
  // Five standard errors of the mean: 1/sqrt(200000) each.
  CHECK(std::abs(mean / kMillisecond - 1) < 0.012);
  CHECK(std::abs(std::sqrt(squares / kCount - mean * mean) / kMillisecond - 1) < 0.02);
}

TEST_CASE("load_schedule is the same for the same seed and another for another") {
  const auto once = dues(Schedule(Arrivals::kPoisson, 1000, 0, 0, 7), 50);
  CHECK(once == dues(Schedule(Arrivals::kPoisson, 1000, 0, 0, 7), 50));
  CHECK(once != dues(Schedule(Arrivals::kPoisson, 1000, 0, 0, 8), 50));
}

}  // namespace
}  // namespace fastserve::bench
