// Nanoseconds for each value that a sketch takes in, and for merging, writing and scoring a table.
//
// Time is the thread's own CPU time, and each line the best of several rounds: on a shared machine
// the others measure the neighbours. `sketch_bench count` runs some for callgrind (count.h).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "count.h"
#include "fastserve/base/clock.h"
#include "fastserve/sketch/column_block.h"
#include "fastserve/sketch/scores.h"
#include "fastserve/sketch/table_sketch.h"

namespace fastserve::sketch {
namespace {

constexpr int kRounds = 7;
constexpr int64_t kRowsOfCall = 64;

Nanos thread_now() {
  timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return static_cast<Nanos>(ts.tv_sec) * kSecond + ts.tv_nsec;
}

std::shared_ptr<const TableSchema> schema_of(DType dtype, int64_t elements) {
  Result<TableSchema> schema = TableSchema::make({{"x", true, dtype, elements}});
  if (!schema.ok()) std::abort();
  return std::make_shared<const TableSchema>(std::move(*schema));
}

template <typename T, typename Make>
std::string data_of(size_t values, Make make) {
  std::mt19937_64 random(7);
  std::string data;
  for (size_t i = 0; i < values; ++i) {
    const T value = make(&random);
    data.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return data;
}

template <typename T>
T normal(std::mt19937_64* random) {
  static std::normal_distribution<double> distribution;
  return static_cast<T>(distribution(*random));
}

void report(const char* name, double nanos, const char* unit) {
  std::printf("%-44s %10.2f %s\n", name, nanos, unit);
}

// Adds `rows` rows in calls of kRowsOfCall from `data`, which holds that many calls over and over.
void fill(TableSketch* table, int64_t rows, const std::vector<std::string>& calls) {
  size_t call = 0;
  for (int64_t done = 0; done < rows; done += kRowsOfCall) {
    const std::string& data = calls[call++ % calls.size()];
    if (!table->add(0, kRowsOfCall, as_bytes(data)).ok()) std::abort();
  }
}

void bench_add(const char* name, DType dtype, int64_t elements, int64_t rows,
               const std::vector<std::string>& calls) {
  const auto schema = schema_of(dtype, elements);
  Nanos best = kNever;
  for (int round = 0; round < kRounds; ++round) {
    TableSketch table(schema);
    const Nanos start = thread_now();
    fill(&table, rows, calls);
    best = std::min(best, thread_now() - start);
  }
  report(name, static_cast<double>(best) / static_cast<double>(rows * elements), "ns/value");
}

template <typename T, typename Make>
std::vector<std::string> calls_of(size_t count, int64_t elements, Make make) {
  std::vector<std::string> calls;
  const std::string all = data_of<T>(count * kRowsOfCall * elements, make);
  const size_t size = all.size() / count;
  for (size_t i = 0; i < count; ++i) calls.push_back(all.substr(i * size, size));
  return calls;
}

std::vector<std::string> text_calls(size_t count, uint32_t distinct) {
  std::mt19937_64 random(11);
  std::vector<std::string> calls(count);
  for (std::string& call : calls) {
    for (int64_t i = 0; i < kRowsOfCall; ++i) {
      const std::string text = "category-" + std::to_string(random() % distinct);
      const auto size = static_cast<uint32_t>(text.size());
      call.append(reinterpret_cast<const char*>(&size), sizeof(size));
      call += text;
    }
  }
  return calls;
}

template <typename Body>
void bench_call(const char* name, Body body) {
  Nanos best = kNever;
  for (int round = 0; round < 10 * kRounds; ++round) {
    const Nanos start = thread_now();
    body();
    best = std::min(best, thread_now() - start);
  }
  report(name, static_cast<double>(best) / kMicrosecond, "us/table");
}

template <typename T>
void bench_sort(const char* name, Instructions instructions) {
  constexpr size_t kColumns = 32;
  std::vector<std::string> rows = calls_of<T>(kBlockRows<T> / kRowsOfCall, kColumns, normal<T>);
  std::unique_ptr<T[], decltype(&std::free)> block(
      static_cast<T*>(std::aligned_alloc(64, kBlockRows<T> * kColumns * sizeof(T))), std::free);
  std::byte* to = reinterpret_cast<std::byte*>(block.get());
  for (const std::string& call : rows) {
    std::memcpy(to, call.data(), call.size());
    to += call.size();
  }
  SortedColumns<T> sorted;
  Nanos best = kNever;
  for (int round = 0; round < 100 * kRounds; ++round) {
    const Nanos start = thread_now();
    for (size_t column = 0; column < kColumns; column += sorted.lanes) {
      sort_block_columns(block.get(), kColumns, column, &sorted, instructions);
    }
    best = std::min(best, thread_now() - start);
  }
  report(name, static_cast<double>(best) / (kBlockRows<T> * kColumns), "ns/value");
}

void bench_tables() {
  constexpr int64_t kRows = 256 * 1024;
  const auto schema = schema_of(DType::kFp32, 30);
  const auto calls = calls_of<float>(64, 30, normal<float>);
  TableSketch reference(schema, 1);
  TableSketch live(schema, 2);
  fill(&reference, kRows, calls);
  fill(&live, kRows, calls);
  bench_call("copy, 30 floats", [&] { TableSketch copy(live); });
  bench_call("copy and merge, 30 floats", [&] {
    TableSketch merged(reference);
    if (!merged.merge(live).ok()) std::abort();
  });
  const std::string bytes = live.serialize();
  bench_call("serialize, 30 floats", [&] { (void)live.serialize(); });
  bench_call("parse, 30 floats", [&] {
    if (!TableSketch::parse(as_bytes(bytes)).ok()) std::abort();
  });
  bench_call("scores, 30 floats", [&] {
    if (!scores(reference, live).ok()) std::abort();
  });
  std::printf("%-44s %10zu bytes\n", "memory, 30 floats", live.size_bytes());
  std::printf("%-44s %10zu bytes\n", "serialized, 30 floats", bytes.size());
}

void run() {
  constexpr int64_t kMillion = 1024 * 1024;
  bench_sort<float>("sort and describe a block: float, baseline", Instructions::kBaseline);
  if (widest_instructions() >= Instructions::kAvx2) {
    bench_sort<float>("sort and describe a block: float, AVX2", Instructions::kAvx2);
  }
  if (widest_instructions() >= Instructions::kAvx512) {
    bench_sort<float>("sort and describe a block: float, AVX-512", Instructions::kAvx512);
  }
  const auto floats = calls_of<float>(256, 30, normal<float>);
  bench_add("add 30 floats, 10 thousand rows", DType::kFp32, 30, 10'240, floats);
  bench_add("add 30 floats, 100 thousand rows", DType::kFp32, 30, 102'400, floats);
  bench_add("add 30 floats, 1 million rows", DType::kFp32, 30, kMillion, floats);
  bench_add("add 1 float, 1 million rows", DType::kFp32, 1, kMillion,
            calls_of<float>(256, 1, normal<float>));
  bench_add("add 30 doubles, 1 million rows", DType::kFp64, 30, kMillion,
            calls_of<double>(64, 30, normal<double>));
  const auto below = [](uint64_t bound) {
    return [bound](std::mt19937_64* random) { return static_cast<int64_t>((*random)() % bound); };
  };
  bench_add("add int64 of 20 values", DType::kInt64, 1, kMillion,
            calls_of<int64_t>(256, 1, below(20)));
  bench_add("add int64 of 1 million values", DType::kInt64, 1, kMillion,
            calls_of<int64_t>(16'384, 1, below(1'000'000)));
  bench_add("add text of 20 values", DType::kBytes, 1, kMillion, text_calls(256, 20));
  bench_add("add text of 1 million values", DType::kBytes, 1, kMillion,
            text_calls(16'384, 1'000'000));
  bench_add("add rows of 768 floats", DType::kFp32, 768, 16'384,
            calls_of<float>(16, 768, normal<float>));
  bench_add("add rows of 150,528 bytes (an image)", DType::kUint8, 150'528, 64,
            calls_of<uint8_t>(1, 150'528, [](std::mt19937_64* random) {
              return static_cast<uint8_t>((*random)());
            }));
  bench_tables();
}

// What a call of kRowsOfCall rows costs a table, and what is done with tables. Enough calls for
// several blocks of rows to fill, since a block's end is where the work is done.
void count_all() {
  constexpr int kCalls = 256;
  auto count_add = [](const char* name, DType dtype, int64_t elements,
                      const std::vector<std::string>& calls) {
    TableSketch table(schema_of(dtype, elements), 1);
    size_t call = 0;
    count(name, kCalls, [&] {
      if (!table.add(0, kRowsOfCall, as_bytes(calls[call++ % calls.size()])).ok()) std::abort();
    });
  };
  const auto floats = calls_of<float>(64, 30, normal<float>);
  count_add("add 64 rows of 30 floats", DType::kFp32, 30, floats);
  count_add("add 64 rows of text of 20 values", DType::kBytes, 1, text_calls(64, 20));
  const auto schema = schema_of(DType::kFp32, 30);
  TableSketch reference(schema, 1);
  TableSketch live(schema, 2);
  fill(&reference, 16'384, floats);
  fill(&live, 16'384, floats);
  count("copy and merge, 30 floats", 5, [&] {
    TableSketch merged(reference);
    if (!merged.merge(live).ok()) std::abort();
  });
  count("scores, 30 floats", 5, [&] {
    if (!scores(reference, live).ok()) std::abort();
  });
}

}  // namespace
}  // namespace fastserve::sketch

int main(int argc, char** argv) {
  if (fastserve::is_counting(argc, argv)) {
    fastserve::sketch::count_all();
  } else {
    fastserve::sketch::run();
  }
  return 0;
}
