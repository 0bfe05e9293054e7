#include "fastserve/batch/plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <vector>

using namespace fastserve;
using namespace fastserve::batch;

namespace {

constexpr Nanos kNow = 1'000'000'000;

// A lane and its entries.
class TestLane {
 public:
  TestLane() { lane.set_ranks(8); }
  LaneEntry& add(uint32_t rows, Nanos deadline = kNever, Nanos arrival = kNow, uint32_t rank = 0) {
    entries_.push_back(std::make_unique<LaneEntry>());
    LaneEntry& entry = *entries_.back();
    entry.rows = rows;
    entry.deadline = deadline;
    entry.arrival = arrival;
    entry.rank = rank;
    lane.push(&entry);
    return entry;
  }
  Lane lane;

 private:
  std::vector<std::unique_ptr<LaneEntry>> entries_;
};

// 100 us and 10 us per row.
Nanos cost_of(uint32_t rows) { return 100'000 + 10'000 * static_cast<Nanos>(rows); }
void learn(CostCurve* curve) {
  for (uint32_t rows : {1u, 2u, 4u, 8u, 16u, 32u, 64u}) curve->observe(rows, cost_of(rows));
}

// The rule as docs/batching.md words it, tried for every prefix of the lane.
Plan reference(const Lane& lane, const CostCurve& cost, const PlanLimits& limits, Nanos now) {
  std::vector<LaneEntry*> all;
  for (LaneEntry* entry = lane.head(); entry != nullptr; entry = entry->next) all.push_back(entry);
  Plan best;
  if (all.empty()) return best;
  best = {all[0], 1, all[0]->rows, Reason::kIdle, 0};
  if (all[0]->rows > limits.max_rows) {
    best.reason = Reason::kOversize;
    return best;
  }
  if (!limits.batching) {
    best.reason = all.size() > 1 ? Reason::kFull : Reason::kIdle;
    return best;
  }
  auto rows_of = [&all](size_t count) {
    uint64_t rows = 0;
    for (size_t i = 0; i < count; ++i) rows += all[i]->rows;
    return rows;
  };
  auto is_within_rows = [&](size_t count) { return rows_of(count) <= limits.max_rows; };
  auto meets_deadlines = [&](size_t count) {
    Nanos run = cost.predict(static_cast<uint32_t>(rows_of(count)));
    return std::all_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count),
                       [&](const LaneEntry* entry) {
                         return entry->deadline == kNever ||
                                (entry->deadline > now && now + run <= entry->deadline);
                       });
  };
  size_t taken = 1;
  while (taken < all.size() && is_within_rows(taken + 1) && meets_deadlines(taken + 1)) ++taken;
  best.count = static_cast<uint32_t>(taken);
  best.rows = static_cast<uint32_t>(rows_of(taken));
  if (best.rows == limits.max_rows || (taken < all.size() && !is_within_rows(taken + 1))) {
    best.reason = Reason::kFull;
  } else if (taken < all.size()) {
    best.reason = Reason::kDeadline;
  } else if (limits.max_delay > 0) {
    Nanos run_at = INT64_MAX;
    for (size_t i = 0; i < taken; ++i) {
      run_at = std::min(run_at, all[i]->arrival + limits.max_delay);
      if (all[i]->deadline != kNever) {
        run_at = std::min(run_at, all[i]->deadline - cost.predict(limits.max_rows));
      }
    }
    if (run_at > now) best = {nullptr, 0, 0, Reason::kWait, run_at};
  }
  return best;
}

}  // namespace

TEST_CASE("plan equals the rule's reference on 200000 random schedules") {
  std::mt19937_64 random(17);
  auto below = [&random](uint64_t limit) { return random() % limit; };
  CostCurve known;
  learn(&known);
  CostCurve unknown;
  std::array<int, 5> seen{};
  for (int schedule = 0; schedule < 200'000; ++schedule) {
    TestLane test;
    PlanLimits limits;
    limits.max_rows = static_cast<uint32_t>(1 + below(64));
    limits.max_delay = below(2) == 0 ? 0 : static_cast<Nanos>(below(1'500'000));
    limits.batching = below(10) != 0;
    const CostCurve& cost = below(5) == 0 ? unknown : known;
    uint32_t largest = static_cast<uint32_t>(1 + below(limits.max_rows + limits.max_rows / 2));
    for (uint64_t i = 0, n = below(12); i < n; ++i) {
      Nanos deadline =
          below(2) == 0 ? kNever : kNow + static_cast<Nanos>(below(2'500'000)) - 200'000;
      test.add(static_cast<uint32_t>(1 + below(largest)), deadline,
               kNow - static_cast<Nanos>(below(1'000'000)), static_cast<uint32_t>(below(3)));
    }
    // The caller refuses a hopeless head.
    while (test.lane.head() != nullptr && is_hopeless(*test.lane.head(), cost, kNow)) {
      test.lane.remove(test.lane.head());
    }
    Plan got = plan(test.lane, cost, limits, kNow);
    Plan want = reference(test.lane, cost, limits, kNow);
    REQUIRE(got.first == want.first);
    REQUIRE(got.count == want.count);
    REQUIRE(got.rows == want.rows);
    REQUIRE(got.reason == want.reason);
    REQUIRE(got.run_at == want.run_at);
    ++seen[static_cast<size_t>(got.reason)];
  }
  for (int count : seen) CHECK(count > 500);  // every reason was met
}

TEST_CASE("plan takes all there is when nothing limits it") {
  TestLane test;
  CostCurve cost;
  LaneEntry& head = test.add(3);
  test.add(5);
  Plan got = plan(test.lane, cost, {}, kNow);
  CHECK(got.first == &head);
  CHECK(got.count == 2);
  CHECK(got.rows == 8);
  CHECK(got.reason == Reason::kIdle);
  CHECK(plan(Lane{}, cost, {}, kNow).count == 0);
}

TEST_CASE("plan does not skip a request that does not fit for a later one that would") {
  TestLane test;
  CostCurve cost;
  test.add(40);
  test.add(40);
  test.add(1);
  Plan got = plan(test.lane, cost, {}, kNow);
  CHECK(got.count == 1);
  CHECK(got.rows == 40);
  CHECK(got.reason == Reason::kFull);
}

TEST_CASE("plan runs an oversize request alone, also with row counts near overflow") {
  TestLane test;
  CostCurve cost;
  test.add(UINT32_MAX);
  test.add(1);
  Plan got = plan(test.lane, cost, {}, kNow);
  CHECK(got.count == 1);
  CHECK(got.reason == Reason::kOversize);

  TestLane second;
  second.add(1);
  second.add(UINT32_MAX);
  got = plan(second.lane, cost, {}, kNow);
  CHECK(got.count == 1);
  CHECK(got.reason == Reason::kFull);
}

TEST_CASE("plan stops where the earliest deadline would be missed") {
  TestLane test;
  CostCurve cost;
  learn(&cost);
  test.add(8, kNow + cost_of(20));
  test.add(8);
  test.add(8);
  Plan got = plan(test.lane, cost, {}, kNow);
  CHECK(got.rows == 16);
  CHECK(got.reason == Reason::kDeadline);
}

TEST_CASE("plan leaves an expired request behind the batch") {
  TestLane test;
  CostCurve cost;
  test.add(1);
  LaneEntry& expired = test.add(1, kNow - 1);
  test.add(1);
  CHECK(is_hopeless(expired, cost, kNow));
  CHECK(plan(test.lane, cost, {}, kNow).count == 1);
}

TEST_CASE("plan waits for more rows only while every member has slack") {
  CostCurve cost;
  learn(&cost);
  PlanLimits limits;
  limits.max_delay = 2 * kMillisecond;
  TestLane test;
  test.add(1, kNever, kNow);
  Plan got = plan(test.lane, cost, limits, kNow);
  CHECK(got.reason == Reason::kWait);
  CHECK(got.first == nullptr);
  CHECK(got.run_at == kNow + 2 * kMillisecond);
  CHECK(plan(test.lane, cost, limits, got.run_at).reason == Reason::kIdle);
  Nanos deadline = kNow + cost_of(64) + 1000;
  test.add(1, deadline, kNow);
  got = plan(test.lane, cost, limits, kNow);
  CHECK(got.run_at == deadline - cost.predict(64));
  CHECK(plan(test.lane, cost, limits, got.run_at).reason == Reason::kIdle);
  test.add(62);
  CHECK(plan(test.lane, cost, limits, kNow).reason == Reason::kFull);
  limits.max_delay = kNever;
  TestLane patient;
  patient.add(1);
  CHECK(plan(patient.lane, cost, limits, kNow).run_at == kNever);
}

TEST_CASE("is_hopeless counts the request's own run") {
  CostCurve cost;
  LaneEntry entry;
  CHECK_FALSE(is_hopeless(entry, cost, kNow));
  entry.deadline = kNow;
  CHECK(is_hopeless(entry, cost, kNow));
  entry.deadline = kNow + 1;
  CHECK_FALSE(is_hopeless(entry, cost, kNow));
  learn(&cost);
  entry.deadline = kNow + cost.predict(1);
  CHECK_FALSE(is_hopeless(entry, cost, kNow));
  CHECK(is_hopeless(entry, cost, kNow + 1));
  entry.deadline = INT64_MAX - 1;
  CHECK_FALSE(is_hopeless(entry, cost, kNow));
}
