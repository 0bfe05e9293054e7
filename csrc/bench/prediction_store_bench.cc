// Cost of a put and of a join in a store that is full, and what a million of each take.
//
// Usage: prediction_store_bench [predictions]. Prints nanoseconds a call and the process's memory.

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "fastserve/base/clock.h"
#include "fastserve/engine/prediction_store.h"

using namespace fastserve;
using namespace fastserve::engine;

namespace {

long resident_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

std::string id_of(long i) { return "0b9d2f6e-request-" + std::to_string(i); }

double per_call(Nanos since, long calls) {
  return static_cast<double>(monotonic_now() - since) / static_cast<double>(calls);
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::atol(argv[1]) : 1'000'000;
  const long before = resident_kib();
  for (const size_t max_bytes : {size_t{64} << 20, size_t{256} << 20}) {
    PredictionStore store({.max_bytes = max_bytes});
    const float score = 0.5f;
    const TensorView output{"probability", DType::kFp32, Shape{1, 1},
                            as_bytes({reinterpret_cast<const char*>(&score), sizeof score})};
    std::vector<std::string> names;
    for (long i = 0; i < count; ++i) names.push_back(id_of(i));

    Nanos start = monotonic_now();
    for (const std::string& name : names) {
      store.put({.model = "fraud", .id = name, .version = 1, .outputs = {&output, 1}}, start);
    }
    const double put_ns = per_call(start, count);

    JoinedBatch batch;
    std::vector<std::string_view> ids(1);
    start = monotonic_now();
    for (const std::string& name : names) {
      ids[0] = name;
      batch.clear();
      store.join("fraud", ids, false, start, &batch);
    }
    const double join_ns = per_call(start, count);
    const PredictionStoreStats stats = store.stats();
    std::printf(
        "max_bytes %3zu MiB: put %.0f ns, join %.0f ns; joined %llu, late %llu, unknown %llu\n",
        max_bytes >> 20, put_ns, join_ns, static_cast<unsigned long long>(stats.joined),
        static_cast<unsigned long long>(stats.late),
        static_cast<unsigned long long>(stats.unknown));
  }
  std::printf("resident: %ld MiB more at most, the ids' own strings included\n",
              (resident_kib() - before) >> 10);
  return 0;
}
