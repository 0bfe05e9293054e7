// The store of predictions: bounds of bytes and age, replacement, late and early labels.
#include "fastserve/engine/prediction_store.h"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace fastserve;
using namespace fastserve::engine;

namespace {

constexpr size_t kSmall = size_t{256} << 10;

TensorView floats(std::string_view name, const std::vector<float>& values) {
  return {name, DType::kFp32, Shape{static_cast<int64_t>(values.size())},
          as_bytes({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)})};
}

struct Joined {
  JoinOutcome outcome;
  int64_t version = 0;
  std::vector<float> values;  // of the last tensor
  std::string segment;
  uint64_t ticket = 0;
};

class StoreFixture {
 public:
  explicit StoreFixture(PredictionStoreOptions options = {.max_bytes = kSmall}) : store(options) {}

  void put(std::string_view id, std::vector<float> values = {1}, int64_t version = 1,
           std::string_view model = "spam") {
    const TensorView output = floats("y", values);
    store.put({.model = model, .id = id, .version = version, .time_ns = 5, .outputs = {&output, 1}},
              now);
  }
  Joined join(std::string_view id, bool may_wait = false, std::string_view model = "spam") {
    batch.clear();
    store.join(model, {id}, may_wait, now, &batch);
    const JoinedBatch::Entry& entry = batch.entries().at(0);
    Joined joined{entry.outcome, entry.version, {}, {}, entry.ticket};
    batch.read(0, &tensors);
    if (!tensors.empty()) {
      if (entry.has_segment) joined.segment = as_text(tensors.front().data);
      const ByteSpan data = tensors.back().data;
      joined.values.resize(data.size() / sizeof(float));
      if (!data.empty()) std::memcpy(joined.values.data(), data.data(), data.size());
    }
    return joined;
  }
  std::pair<std::vector<uint64_t>, std::vector<uint64_t>> take_waited() {
    std::vector<uint64_t> arrived;
    std::vector<uint64_t> expired;
    store.take_waited(now, &arrived, &expired);
    return {arrived, expired};
  }

  PredictionStore store;
  Nanos now = kSecond;
  JoinedBatch batch;
  std::vector<TensorView> tensors;
};

std::string name_of(int i) { return "request-" + std::to_string(i); }

}  // namespace

TEST_CASE("sip_hash gives the reference implementation's vectors") {
  // vectors_sip128 of the reference implementation: key 00 01 .. 0f, input 00 01 .. of length n.
  const Hash128 key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  CHECK(sip_hash(key, "") == Hash128{0xe6a825ba047f81a3, 0x930255c71472f66d});
  CHECK(sip_hash(key, std::string_view("\0", 1)) ==
        Hash128{0x44af996bd8c187da, 0x45fc229b11597634});
  CHECK_FALSE(sip_hash(key, "a") == sip_hash({key.low, key.high ^ 1}, "a"));
}

TEST_CASE("prediction_store gives back what was put, with its segment") {
  StoreFixture f;
  const std::vector<float> values = {0.25f, 0.75f};
  const std::vector<float> label = {1};
  const std::vector<TensorView> outputs = {floats("label", label), floats("p", values)};
  const std::string text("\2\0\0\0de", 6);
  const TensorView segment{"country", DType::kBytes, Shape{1}, as_bytes(text)};
  f.store.put({"spam", "a", 3, 77, outputs, &segment}, f.now);
  const Joined joined = f.join("a");
  CHECK(joined.outcome == JoinOutcome::kJoined);
  CHECK(joined.version == 3);
  CHECK(joined.values == values);
  CHECK(joined.segment == text);
  CHECK(f.batch.entries()[0].time_ns == 77);
  REQUIRE(f.tensors.size() == 3);
  CHECK(f.tensors[0].name == "country");
  CHECK(f.tensors[1].name == "label");
  CHECK(f.tensors[2].shape == Shape{2});
}

TEST_CASE("prediction_store joins a prediction once and tells a second label") {
  StoreFixture f;
  f.put("a");
  CHECK(f.join("a").outcome == JoinOutcome::kJoined);
  CHECK(f.join("a").outcome == JoinOutcome::kDuplicate);
  CHECK(f.store.stats().joined == 1);
  CHECK(f.store.stats().duplicate == 1);
}

TEST_CASE("prediction_store takes another label when the first was released") {
  StoreFixture f;
  f.put("a");
  f.join("a");
  f.store.release("spam", "a");
  CHECK(f.store.stats().joined == 0);
  CHECK(f.join("a").outcome == JoinOutcome::kJoined);
  f.store.release("spam", "nobody");
  CHECK(f.store.stats().joined == 1);
}

TEST_CASE("prediction_store lets the later of two predictions with one id win, and counts both") {
  StoreFixture f;
  f.put("a", {1}, 1);
  f.put("a", {2}, 2);
  const Joined joined = f.join("a");
  CHECK(joined.version == 2);
  CHECK(joined.values == std::vector<float>{2});
  CHECK(f.store.stats().kept == 2);
  CHECK(f.store.stats().replaced == 1);
  CHECK(f.store.stats().records == 1);
}

TEST_CASE("prediction_store keeps models with one id apart") {
  StoreFixture f;
  f.put("a", {1}, 1, "spam");
  f.put("a", {2}, 1, "digits");
  CHECK(f.join("a", false, "spam").values == std::vector<float>{1});
  CHECK(f.join("a", false, "digits").values == std::vector<float>{2});
  // Where the one ends and the other begins is part of the name.
  CHECK(f.join("ma", false, "spa").outcome == JoinOutcome::kUnknown);
}

TEST_CASE("prediction_store keeps none of the outputs that are too large, and says so") {
  StoreFixture f({.max_bytes = kSmall, .max_record_bytes = 100});
  f.put("large", std::vector<float>(64));
  CHECK(f.join("large").outcome == JoinOutcome::kTooLarge);
  CHECK(f.store.stats().too_large == 1);
  CHECK(f.store.stats().kept == 1);
  f.put("small");
  f.put("small", std::vector<float>(64));
  CHECK(f.join("small").outcome == JoinOutcome::kTooLarge);
}

TEST_CASE("prediction_store does not keep a prediction without an id, and counts it") {
  StoreFixture f;
  f.put("");
  CHECK(f.store.stats().without_id == 1);
  CHECK(f.store.stats().records == 0);
}

TEST_CASE("prediction_store evicts the oldest within its bytes and calls their labels late") {
  StoreFixture f;
  constexpr int kPuts = 20'000;
  for (int i = 0; i < kPuts; ++i) {
    f.put(name_of(i), {static_cast<float>(i)});
    REQUIRE(f.store.stats().bytes <= f.store.ring_bytes());
  }
  const PredictionStoreStats stats = f.store.stats();
  CHECK(stats.kept == kPuts);
  CHECK(stats.evicted == kPuts - stats.records);
  CHECK(stats.records > kSmall / 128);
  const int first = kPuts - static_cast<int>(stats.records);
  for (int i = first; i < kPuts; ++i) {
    const Joined joined = f.join(name_of(i));
    REQUIRE(joined.outcome == JoinOutcome::kJoined);
    REQUIRE(joined.values == std::vector<float>{static_cast<float>(i)});
  }
  for (int i = first - 1000; i < first; ++i) {
    REQUIRE(f.join(name_of(i)).outcome == JoinOutcome::kLate);
  }
}

TEST_CASE("prediction_store takes fewer than 5 in 1,000 unknown ids for late ones") {
  StoreFixture f;
  for (int i = 0; i < 50'000; ++i) f.put(name_of(i));
  int late = 0;
  for (int i = 0; i < 100'000; ++i) {
    late += f.join("stranger-" + std::to_string(i)).outcome == JoinOutcome::kLate;
  }
  CHECK(late < 500);
  CHECK(late > 0);  // or the filter would not have been full
}

TEST_CASE("prediction_store forgets what is too old, and calls its labels late") {
  StoreFixture f({.max_bytes = kSmall, .max_age = 10 * kSecond});
  f.put("old");
  f.now += 10 * kSecond - 1;
  f.put("new");
  f.now += 1;
  CHECK(f.join("old").outcome == JoinOutcome::kLate);
  CHECK(f.join("new").outcome == JoinOutcome::kJoined);
  CHECK(f.store.stats().expired == 1);
}

TEST_CASE("prediction_store never joins what is too old, also before it is swept") {
  StoreFixture f({.max_bytes = kSmall, .max_age = 10 * kSecond});
  for (int i = 0; i < 500; ++i) f.put(name_of(i));
  f.now += 10 * kSecond;
  CHECK(f.join(name_of(499)).outcome == JoinOutcome::kLate);
  CHECK(f.store.stats().records > 0);
}

TEST_CASE("prediction_store keeps a label that comes first until its prediction comes") {
  StoreFixture f;
  const Joined waiting = f.join("a", true);
  REQUIRE(waiting.outcome == JoinOutcome::kWaiting);
  CHECK(waiting.ticket != 0);
  CHECK(f.join("a", true).outcome == JoinOutcome::kDuplicate);
  CHECK(f.store.stats().waiting == 1);
  f.put("a", {4});
  CHECK(f.take_waited() == std::pair{std::vector{waiting.ticket}, std::vector<uint64_t>{}});
  CHECK(f.take_waited().first.empty());
  CHECK(f.join("a").values == std::vector<float>{4});
  CHECK(f.store.stats().early == 1);
  CHECK(f.store.stats().unknown == 0);
}

TEST_CASE("prediction_store counts a label that waited in vain as unknown") {
  StoreFixture f({.max_bytes = kSmall, .max_wait = 3 * kSecond});
  const Joined first = f.join("a", true);
  f.now += kSecond;
  f.join("b", true);
  f.now += 2 * kSecond;
  CHECK(f.take_waited() == std::pair{std::vector<uint64_t>{}, std::vector{first.ticket}});
  CHECK(f.store.stats().unknown == 1);
  CHECK(f.store.stats().waiting == 1);
  f.put("a");
  CHECK(f.store.stats().early == 0);
}

TEST_CASE("prediction_store lets no more labels wait than it may") {
  StoreFixture f({.max_bytes = kSmall, .max_waiting = 3, .max_wait = kSecond});
  for (const char* id : {"a", "b", "c"}) CHECK(f.join(id, true).outcome == JoinOutcome::kWaiting);
  CHECK(f.join("d", true).outcome == JoinOutcome::kUnknown);
  f.put("b");
  // Also while nobody takes the tickets.
  CHECK(f.join("d", true).outcome == JoinOutcome::kUnknown);
  CHECK(f.take_waited().first.size() == 1);
  f.now += kSecond;
  CHECK(f.take_waited().second.size() == 2);
  CHECK(f.join("d", true).outcome == JoinOutcome::kWaiting);
}

TEST_CASE("prediction_store agrees with a map over random puts and joins") {
  StoreFixture f({.max_bytes = kSmall, .max_record_bytes = 600, .max_age = 50 * kSecond});
  std::mt19937 random(7);
  std::map<std::string, std::vector<float>> last;  // what was put last under each id
  std::map<std::string, Nanos> put_at;
  for (int step = 0; step < 60'000; ++step) {
    const std::string id = name_of(static_cast<int>(random() % 3000));
    f.now += static_cast<Nanos>(random() % (20 * kMillisecond));
    if (random() % 3 != 0) {
      std::vector<float> values(random() % 120, static_cast<float>(step));
      f.put(id, values);
      last[id] = values;
      put_at[id] = f.now;
      continue;
    }
    const Joined joined = f.join(id);
    if (joined.outcome != JoinOutcome::kJoined) continue;
    REQUIRE(joined.values == last.at(id));
    REQUIRE(f.now - put_at.at(id) < 50 * kSecond);
    last.erase(id);  // a second join of it would find nothing here and fail
    put_at.erase(id);
  }
  const PredictionStoreStats stats = f.store.stats();
  CHECK(stats.joined > 1000);
  CHECK(stats.kept == stats.records + stats.replaced + stats.evicted + stats.expired);
}

TEST_SUITE("storm") {
  TEST_CASE("prediction_store joins each prediction once while threads put and join") {
    constexpr int kPutters = 2;
    constexpr int kJoiners = 2;
    constexpr int kPuts = 4000;
    PredictionStore store({.max_bytes = size_t{4} << 20});
    std::atomic<int> joined{0};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kPutters; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kPuts; ++i) {
          const std::vector<float> values = {static_cast<float>(i)};
          const TensorView output = floats("y", values);
          const std::string id = std::to_string(t) + "-" + std::to_string(i);
          store.put({.model = "m", .id = id, .outputs = {&output, 1}}, monotonic_now());
        }
      });
    }
    for (int t = 0; t < kJoiners; ++t) {
      threads.emplace_back([&] {
        JoinedBatch batch;
        std::vector<TensorView> tensors;
        std::vector<uint64_t> arrived;
        std::vector<uint64_t> expired;
        while (joined.load() < kPutters * kPuts) {
          for (int i = 0; i < kPuts; ++i) {
            const std::vector<std::string> names = {"0-" + std::to_string(i),
                                                    "1-" + std::to_string(i)};
            batch.clear();
            store.join("m", {names[0], names[1]}, i % 2 == 0, monotonic_now(), &batch);
            for (size_t k = 0; k < batch.entries().size(); ++k) {
              if (batch.entries()[k].outcome != JoinOutcome::kJoined) continue;
              batch.read(k, &tensors);
              float value;
              std::memcpy(&value, tensors.at(0).data.data(), sizeof value);
              wrong += value != static_cast<float>(i);
              ++joined;
            }
          }
          store.take_waited(monotonic_now(), &arrived, &expired);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(joined == kPutters * kPuts);
    CHECK(store.stats().joined == kPutters * kPuts);
  }
}
