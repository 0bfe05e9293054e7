// Cost of one planning decision, over lane lengths, with and without deadlines; and of one
// prediction.
//
// Usage: plan_bench. Prints nanoseconds, the median of 15 repeats. `plan_bench count` runs each for
// callgrind instead (count.h).

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "count.h"
#include "fastserve/base/clock.h"
#include "fastserve/batch/plan.h"

namespace {

using fastserve::kMillisecond;
using fastserve::kNever;
using fastserve::monotonic_now;
using fastserve::Nanos;
using namespace fastserve::batch;

volatile uint64_t g_sink;

template <typename Work>
double median_ns(int calls, Work&& work) {
  std::vector<double> samples;
  for (int repeat = 0; repeat < 15; ++repeat) {
    Nanos start = monotonic_now();
    for (int i = 0; i < calls; ++i) g_sink = g_sink + work(i);
    samples.push_back(static_cast<double>(monotonic_now() - start) / calls);
  }
  std::nth_element(samples.begin(), samples.begin() + 7, samples.end());
  return samples[7];
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_counting = fastserve::is_counting(argc, argv);
  CostCurve cost;
  for (int i = 0; i < 100; ++i) {
    for (uint32_t rows = 1; rows <= 64; rows *= 2) cost.observe(rows, 50'000 + 700 * rows);
  }
  PlanLimits limits;
  const Nanos now = monotonic_now();
  if (!is_counting) std::printf("%-10s %-12s %10s\n", "lane", "deadlines", "ns/plan");
  for (int length : {1, 8, 64, 1000}) {
    for (bool has_deadlines : {false, true}) {
      std::vector<LaneEntry> entries(static_cast<size_t>(length));
      Lane lane;
      for (LaneEntry& entry : entries) {
        if (has_deadlines) entry.deadline = now + 100 * kMillisecond;
        lane.push(&entry);
      }
      if (is_counting) {
        const std::string name =
            "plan: " + std::to_string(length) + (has_deadlines ? " with deadlines" : " without");
        fastserve::count(name.c_str(), 100,
                         [&] { g_sink = g_sink + plan(lane, cost, limits, now).count; });
        continue;
      }
      double ns = median_ns(20'000, [&](int) { return plan(lane, cost, limits, now).count; });
      std::printf("%-10d %-12s %10.1f\n", length, has_deadlines ? "yes" : "no", ns);
    }
  }
  if (is_counting) {
    uint32_t rows = 0;
    fastserve::count("predict", 1'000, [&] {
      g_sink = g_sink + static_cast<uint64_t>(cost.predict((rows++ & 63) + 1));
    });
    fastserve::count("observe", 1'000, [&] { cost.observe((rows++ & 63) + 1, 70'000); });
    return 0;
  }
  std::printf("predict    %23.1f\n", median_ns(1'000'000, [&](int i) {
                return static_cast<uint64_t>(cost.predict(static_cast<uint32_t>(i & 63) + 1));
              }));
  std::printf("observe    %23.1f\n", median_ns(100'000, [&](int i) {
                cost.observe(static_cast<uint32_t>(i & 63) + 1, 70'000);
                return uint64_t{1};
              }));
  return 0;
}
